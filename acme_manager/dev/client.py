"""Development mode's own use of the public API, with nothing but what any client has: a URL, a key, a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import trio

from acme_manager.dev.folder import DevFailed
from acme_manager.dev.server_config import ISSUER

_OWNER = "dev"
_TIMEOUT = 60.0  # seconds for one answer, an issuance included
_READY = 20.0
_POLL = 0.02


class ApiClient:
    """Calls of the API. Each raises DevFailed when the answer is not the expected one."""

    def __init__(self, url: str) -> None:
        # Everything is on the loopback address; a proxy of the environment would not find it.
        self._http = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT, trust_env=False)

    async def __aenter__(self) -> ApiClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def wait_until_ready(self) -> None:
        """Wait until the server can do its work: it answers before it has read what its store holds."""
        answer = None
        with trio.move_on_after(_READY):
            while (answer := await self._call("GET", "/ready", {}, {200, 503})).status_code != 200:  # noqa: ASYNC110 all we can do is ask
                await trio.sleep(_POLL)
            return
        parts = answer.text[:500].strip() if answer else "no answer"
        raise DevFailed(f"the server is not ready after {_READY:g} s: {parts}")

    async def token(self, api_key: str, bearer: str) -> str:
        """The bearer value of the last run if it is still good, else that of a new token."""
        if bearer and (await self._call("GET", "/api/v1/token/self", _bearer(bearer), {200, 401})).status_code == 200:
            return bearer
        wanted = {"username": _OWNER, "scope": ["create", "read", "update", "delete"]}
        answer = await self._call("POST", "/api/v1/token", {"X-API-Key": api_key}, {200, 201}, wanted)
        return str(answer.json()["token"])

    async def certificate(self, domain: str, bearer: str) -> dict[str, Any]:
        """Ask for a certificate, or get the one that is there already."""
        wanted = {"domain": domain, "issuer": ISSUER}
        answer = await self._call("POST", "/api/v1/certificate", _bearer(bearer), {200, 201, 409}, wanted)
        if answer.status_code == 409:
            answer = await self._call("GET", f"/api/v1/certificate/{ISSUER}/{domain}", _bearer(bearer), {200})
        found: dict[str, Any] = answer.json()
        return found

    async def _call(
        self, method: str, path: str, headers: Mapping[str, str], expected: set[int], body: Any = None
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, headers=headers, json=body)
        except httpx.HTTPError as error:
            raise DevFailed(f"{method} {path}: {type(error).__name__} {error}".rstrip()) from error
        if answer.status_code not in expected:
            raise DevFailed(f"{method} {path} answers {answer.status_code}: {answer.text[:500].strip()}")
        return answer


def _bearer(bearer: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {bearer}"}
