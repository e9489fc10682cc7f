"""kill -9 between any two steps of an order, and a start again: nothing is lost, left behind or ordered twice."""

from __future__ import annotations

import itertools
import signal
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from tests.integration.site import Site, case, eventually, nothing_left, open_site
from tests.parts.faults import FaultProxy, Hold

ORDER = r"/\.acme-manager/orders/"
CERTIFICATE = r"/data/certificates/alice/"


@pytest.mark.parametrize(
    ("where", "patterns"),
    [
        ("ca", ["POST /order-plz", "POST /authZ/", "POST /chalZ/", "POST /finalize-order/", "POST /certZ/"]),
        (
            "bao",
            [
                f"(PUT|POST) /v1/secret/data/certificates{ORDER}",
                f"(PUT|POST) /v1/secret{CERTIFICATE}",
                f"DELETE /v1/secret/metadata/certificates{ORDER}",
            ],
        ),
    ],
)
async def test_an_order_outlives_kill_9(tmp_path: Path, where: str, patterns: list[str]) -> None:
    async with open_site(tmp_path, nonce_reject=0) as site:
        proxy = site.to_ca if where == "ca" else site.to_bao
        for number, (pattern, after) in enumerate(itertools.product(patterns, (False, True))):
            with case(pattern, after):
                await outlives(site, proxy, pattern, after, f"h{number}.example.test")


async def outlives(site: Site, proxy: FaultProxy, pattern: str, after: bool, domain: str) -> None:
    """Kill it before or after its request, and see the order through."""
    seen_before = len(site.to_ca.seen)
    hold = Hold(after=after)
    proxy.plan(hold, on=pattern)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_in_vain, site, domain)
        with trio.fail_after(20):
            await hold.reached.wait()
        await site.node.program.stop(signal.SIGKILL)
        hold.release.set()
    await site.node.start()

    async with site.node.client() as client:
        answer = await client.post("/api/v1/certificate", json=wish(domain))
        assert answer.status_code in {201, 409}, answer.text
        kept = await client.get(f"/api/v1/certificate/pebble/{domain}")
        assert kept.status_code == 200, kept.text
        await eventually(partial(no_orders, site))
        await nothing_left(site, domain)
    finalized = {one.target for one in site.to_ca.seen[seen_before:] if one.target.startswith("/finalize-order/")}
    assert len(finalized) == 1
    serial = int(kept.json()["serial"], 16)
    assert await site.ca.status(serial) == "Valid"


def wish(domain: str) -> dict[str, str]:
    return {"issuer": "pebble", "domain": domain}


async def ask_in_vain(site: Site, domain: str) -> None:
    async with site.node.client() as client:
        with pytest.raises(httpx.TransportError):
            await client.post("/api/v1/certificate", json=wish(domain))


async def no_orders(site: Site) -> bool:
    return await site.bao.keys("certificates/.acme-manager/orders") == []
