"""kill -9 between any two steps of an order, and a start again: nothing is lost, left behind or ordered twice."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from tests.integration.site import Site, eventually, nothing_left, open_site
from tests.parts.faults import Hold

WISH = {"issuer": "pebble", "domain": "www.example.test"}
ORDER = r"/\.acme-manager/orders/"
CERTIFICATE = r"/data/certificates/alice/"


@pytest.mark.parametrize(
    ("where", "pattern", "after"),
    [
        ("ca", "POST /order-plz", False),
        ("ca", "POST /order-plz", True),
        ("ca", "POST /authZ/", True),
        ("bao", f"(PUT|POST) /v1/secret/data/certificates{ORDER}", False),
        ("bao", f"(PUT|POST) /v1/secret/data/certificates{ORDER}", True),
        ("ca", "POST /chalZ/", False),
        ("ca", "POST /chalZ/", True),
        ("ca", "POST /finalize-order/", False),
        ("ca", "POST /finalize-order/", True),
        ("ca", "POST /certZ/", False),
        ("ca", "POST /certZ/", True),
        ("bao", f"(PUT|POST) /v1/secret{CERTIFICATE}", False),
        ("bao", f"(PUT|POST) /v1/secret{CERTIFICATE}", True),
        ("bao", f"DELETE /v1/secret/metadata/certificates{ORDER}", False),
        ("bao", f"DELETE /v1/secret/metadata/certificates{ORDER}", True),
    ],
)
async def test_an_order_outlives_kill_9(tmp_path: Path, where: str, pattern: str, after: bool) -> None:
    async with open_site(tmp_path, nonce_reject=0) as site:
        hold = Hold(after=after)
        (site.to_ca if where == "ca" else site.to_bao).plan(hold, on=pattern)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_in_vain, site)
            with trio.fail_after(20):
                await hold.reached.wait()
            await site.node.program.stop(signal.SIGKILL)
            hold.release.set()
        await site.node.start()

        async with site.node.client() as client:
            answer = await client.post("/api/v1/certificate", json=WISH)
            assert answer.status_code in {201, 409}, answer.text
            kept = await client.get("/api/v1/certificate/pebble/www.example.test")
            assert kept.status_code == 200, kept.text
            await eventually(partial(no_orders, site))
            await nothing_left(site, "www.example.test")
        finalized = {one.target for one in site.to_ca.seen if one.target.startswith("/finalize-order/")}
        assert len(finalized) == 1
        serial = int(kept.json()["serial"], 16)
        assert await site.ca.status(serial) == "Valid"


async def ask_in_vain(site: Site) -> None:
    async with site.node.client() as client:
        with pytest.raises(httpx.TransportError):
            await client.post("/api/v1/certificate", json=WISH)


async def no_orders(site: Site) -> bool:
    return await site.bao.keys("certificates/.acme-manager/orders") == []
