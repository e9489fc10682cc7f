"""What the CA, the store and the DNS server can do to a node, and what becomes of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import httpx
import trio

from tests.integration.site import eventually, nothing_left, open_site
from tests.parts.faults import HangUp, Hold, busy

WISH = {"issuer": "pebble", "domain": "www.example.test"}
FINALIZE = "POST /finalize-order/"


async def test_a_ca_that_is_busy_is_asked_again_when_it_says(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        for pattern in ("POST /order-plz", "POST /authZ/", FINALIZE):
            site.to_ca.plan(busy("1"), on=pattern)
        began = trio.current_time()
        created = await client.post("/api/v1/certificate", json=WISH)
        assert created.status_code == 201, created.text
        assert trio.current_time() - began >= 3


async def test_a_ca_that_is_busy_for_longer_than_we_may_wait_says_so_at_once(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        site.to_ca.plan(busy("3600"), on="POST /order-plz", times=100)
        with trio.fail_after(15):
            refused = await client.post("/api/v1/certificate", json=WISH)
        assert refused.status_code == 503, refused.text
        assert 3000 < int(refused.headers["Retry-After"]) <= 3600
        site.to_ca.heal()
        assert (await client.post("/api/v1/certificate", json=WISH)).status_code == 201


async def test_a_ca_that_closes_connections_costs_only_time(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        for pattern in ("/order-plz", "/authZ/", "/chalZ/", "/finalize-order/", "/certZ/"):
            site.to_ca.plan(HangUp(after=True), on=f"POST {pattern}")
        created = await client.post("/api/v1/certificate", json=WISH)
        assert created.status_code == 201, created.text
        await nothing_left(site, "www.example.test")


async def test_a_caller_that_hangs_up_does_not_abort_the_issuance(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        hold = Hold()
        site.to_ca.plan(hold, on=FINALIZE)
        with trio.move_on_after(30) as patience:
            async with trio.open_nursery() as nursery:

                async def leave_early() -> None:
                    await hold.reached.wait()
                    patience.cancel()

                nursery.start_soon(leave_early)
                await client.post("/api/v1/certificate", json=WISH)
        assert patience.cancelled_caught
        hold.release.set()
        again = await client.post("/api/v1/certificate", json=WISH)
        assert again.status_code in {201, 409}
        assert (await client.get("/api/v1/certificate/pebble/www.example.test")).status_code == 200
        assert site.to_ca.count("POST /order-plz") == 1


async def test_sealed_storage_refuses_new_orders_and_keeps_what_was_issued(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        hold = Hold()
        site.to_ca.plan(hold, on="POST /certZ/")
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                late = await client.post("/api/v1/certificate", json=WISH)
                assert late.status_code == 503, late.text
                assert "has been issued and will be stored" in late.json()["detail"]
                assert "Retry-After" in late.headers

            nursery.start_soon(ask)
            await hold.reached.wait()
            await site.bao.seal()
            hold.release.set()
        other = await client.post("/api/v1/certificate", json={**WISH, "domain": "other.example.test"})
        assert other.status_code == 503, other.text
        assert "sealed" in (await client.get("/ready")).json()["parts"]["storage"]
        await site.bao.unseal()
        await eventually(partial(is_there, client))
        assert site.to_ca.count("POST /order-plz") == 1
        assert (await client.get("/ready")).json()["parts"]["storage"] == "ok"


async def test_storage_that_is_stopped_in_the_middle_and_comes_back(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        hold = Hold()
        site.to_ca.plan(hold, on=FINALIZE)
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                await client.post("/api/v1/certificate", json=WISH)

            nursery.start_soon(ask)
            await hold.reached.wait()
            await site.bao.stop()
            hold.release.set()
        await site.bao.start()
        await eventually(partial(is_there, client))
        assert site.to_ca.count("POST /order-plz") == 1


async def test_a_dns_server_that_refuses_is_named(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        await site.dns.stop()
        refused = await client.post("/api/v1/certificate", json=WISH)
        assert refused.status_code == 500, refused.text
        assert f"{site.dns.address}:{site.dns.port}" in refused.json()["detail"]
        await site.dns.start()
        assert (await client.post("/api/v1/certificate", json=WISH)).status_code == 201


async def is_there(client: httpx.AsyncClient) -> bool:
    return (await client.get("/api/v1/certificate/pebble/www.example.test")).status_code == 200
