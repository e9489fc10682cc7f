"""What the tests of a cluster ask for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import httpx
import trio

from tests.integration.site import csr_for
from tests.parts.node import AS_ADMINISTRATOR, Node

STAMP = "X-Acme-Manager-Stamp"
_PAUSE = 0.1


def wish(domain: str, issuer: str = "pebble", **more: Any) -> dict[str, Any]:
    """A certificate whose key the caller has, so that every node may keep a copy of it."""
    return {"issuer": issuer, "domain": domain, "csr": csr_for(domain), **more}


def path_of(domain: str, issuer: str = "pebble") -> str:
    """Where it is read."""
    return f"/api/v1/certificate/{issuer}/{domain}"


async def new_token(node: Node, username: str = "bob") -> httpx.Response:
    """Ask for a token: a write that needs storage and no CA."""
    async with node.anonymous(**AS_ADMINISTRATOR) as client:
        return await client.post("/api/v1/token", json={"username": username, "scope": ["read"]}, timeout=30)


async def tokens_shown_by(node: Node) -> set[str]:
    """The ids of all tokens that a node has in its copy."""
    async with node.anonymous(**AS_ADMINISTRATOR) as client:
        answer = (await client.get("/api/v1/token", timeout=10)).raise_for_status()
    return {one["id"] for one in answer.json()}


async def until_written(node: Node, within: float) -> tuple[float, str]:
    """Ask a node for a token until it gives one: how many seconds that took, and the token's id.

    Raises trio.TooSlowError.
    """
    began = trio.current_time()
    with trio.fail_after(within):
        while True:
            try:
                answer = await new_token(node)
                if answer.is_success:
                    return trio.current_time() - began, str(answer.json()["id"])
            except httpx.TransportError:
                pass
            await trio.sleep(_PAUSE)


async def written_with_one_retry(nodes: Collection[Node], patience: float = 1.0) -> httpx.Response:
    """Ask a node for a token, and if that fails another one, once, as a client behind a balancer does."""
    first, second, *_ = nodes
    try:
        answer = await new_token(first)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            return answer
        await trio.sleep(min(patience, float(answer.headers["Retry-After"])))
    except httpx.TransportError:
        pass
    return await new_token(second)
