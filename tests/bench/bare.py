"""The lower bound as a process of its own: `python -m tests.bench.bare`, an order as JSON in, figures as JSON out."""

from __future__ import annotations

import json
import sys
from typing import Any

import attrs
import trio

from tests.bench.acme_client import AcmeClient, Txt, certificate
from tests.bench.machine import measured
from tests.bench.parts import names, signing_request
from tests.parts.dns_server import TsigKey


async def run(order: dict[str, Any]) -> dict[str, Any]:
    """Get all certificates, `in_flight` at once. The account and the keys are made before the clock starts."""
    address, port = order["dns"]
    client, txt = AcmeClient(order["ca_pem"]), Txt(order["zone"], address, port, TsigKey(**order["key"]))
    csrs = {name: signing_request(name) for name in order["names"]}
    chains: dict[str, str] = {}

    async def work(waiting: list[str]) -> None:
        while waiting:
            name = waiting.pop()
            chains[name] = await certificate(client, txt, name, csrs[name])

    async with client.http:
        await client.register(order["directory"])
        (warm,) = names("warm", 1)
        await certificate(client, txt, warm, signing_request(warm))
        waiting = list(csrs)
        with measured(order["pids"]) as cost:
            async with trio.open_nursery() as nursery:
                for _ in range(order["in_flight"]):
                    nursery.start_soon(work, waiting)
    return {"cost": attrs.asdict(cost), "certificates": chains}


if __name__ == "__main__":
    json.dump(trio.run(run, json.load(sys.stdin)), sys.stdout)
