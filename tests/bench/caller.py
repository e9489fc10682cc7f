"""Who asks our server: `python -m tests.bench.requests`, a process of its own so that its work is not the server's."""

from __future__ import annotations

import json
import sys
from typing import Any

import attrs
import httpx
import trio

from tests.bench.machine import measured
from tests.bench.parts import csr_text, names


async def run(order: dict[str, Any]) -> dict[str, Any]:
    """Request all certificates at once over kept connections. The CSRs are made before the clock starts.

    One certificate is requested before: it makes the server's account, as the peers' accounts are made before.
    """
    wishes = [{"issuer": order["issuer"], "domain": name, "csr": csr_text(name)} for name in order["names"]]
    (warm,) = names("warm", 1)
    answers: dict[str, str] = {}

    async def ask(wish: dict[str, str]) -> None:
        answer = await client.post("/api/v1/certificate", json=wish)
        if answer.status_code != httpx.codes.CREATED:
            raise RuntimeError(f"{wish['domain']}: {answer.status_code} {answer.text}")
        answers[wish["domain"]] = answer.json()["cert"]

    async with httpx.AsyncClient(
        base_url=order["url"],
        headers={"Authorization": f"Bearer {order['token']}"},
        timeout=None,
        trust_env=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
    ) as client:
        await ask({"issuer": order["issuer"], "domain": warm, "csr": csr_text(warm)})
        with measured(order["pids"]) as cost:
            async with trio.open_nursery() as nursery:
                for wish in wishes:
                    nursery.start_soon(ask, wish)
    return {"cost": attrs.asdict(cost), "certificates": answers}


if __name__ == "__main__":
    json.dump(trio.run(run, json.load(sys.stdin)), sys.stdout)
