"""A real CA is not asked for what its limits leave no room for, and is left alone for as long as it says."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.parts.bind import bind
from tests.parts.faults import Answer, fault_proxy
from tests.parts.node import AS_ADMINISTRATOR, node
from tests.parts.openbao import openbao
from tests.parts.pebble import pebble

TOO_MANY = json.dumps(
    {
        "type": "urn:ietf:params:acme:error:rateLimited",
        "detail": 'too many certificates (50) already issued for "example.test" in the last 168h0m0s',
        "status": 429,
    }
).encode()


async def test_orders_stay_within_the_limits_of_a_ca(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dns = await enter(bind(tmp_path, {"example.test": "zonesub TXT", "example.org": "zonesub TXT"}))
        bao = await enter(openbao(tmp_path))
        ca = await enter(pebble(tmp_path, dns=dns.at, nonce_reject=0))
        proxy = await enter(fault_proxy(ca.directory.removesuffix("/dir")))
        issuer: dict[str, Any] = {
            "ca_bundle": str(ca.ca_pem),
            "dns_challenge": "rfc2136",
            "ca_dir_url": f"{proxy.url}/dir",
            "limits": {"preset": "none", "new_orders": "20/1h", "certificates_per_set": "1/1h"},
        }
        running = await enter(node(tmp_path, bao=bao, issuers={"ca": issuer}, dns=dns))
        client = await enter(running.client())

        async def order(domain: str, name: str) -> Any:
            return await client.post("/api/v1/certificate", json={"issuer": "ca", "domain": domain, "name": name})

        assert (await order("www.example.test", "one")).status_code == 201
        refused = await order("www.example.test", "two")
        assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (503, "issuer-rate-limited")
        assert "1 certificates per 1h for exactly these names" in refused.json()["detail"]
        assert 3700 <= int(refused.headers["Retry-After"]) <= 3780
        assert proxy.count("POST /order-plz") == 1

        proxy.plan(Answer(429, ((b"Retry-After", b"600"),), TOO_MANY), on="POST /order-plz", times=100)
        assert (await order("b.example.test", "three")).status_code == 503
        asked = proxy.count("POST /order-plz")
        proxy.heal()
        paused = await order("c.example.test", "four")
        assert "the CA told us to wait (example.test)" in paused.json()["detail"]
        assert proxy.count("POST /order-plz") == asked
        assert (await order("www.example.org", "five")).status_code == 201

        (told,) = (await client.get("/api/v1/issuers")).json()
        assert "paused" not in told or not told["paused"]
        assert not any("about" in one for one in told["budget"])  # they may be another owner's
        (shown,) = (await client.get("/api/v1/issuers", headers=AS_ADMINISTRATOR)).json()
        assert [one["about"] for one in shown["paused"]] == ["example.test"]
        assert {None, "www.example.org", "www.example.test"} <= {one.get("about") for one in shown["budget"]}
        metrics = (await client.get("/metrics")).text
        assert 'acme_manager_issuer_budget_remaining{issuer="ca",limit="certificates_per_set"} 0.0' in metrics
