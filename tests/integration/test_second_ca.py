"""A second CA stands in for one that has no time, a real name server says for which names, and a look ahead sees it.

What the second one issues lives for seconds here, so that the first is soon asked again.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.integration.site import eventually
from tests.parts.bind import bind
from tests.parts.faults import busy, fault_proxy
from tests.parts.node import node
from tests.parts.openbao import openbao
from tests.parts.pebble import pebble

SHORT = 12  # seconds
RECORDS = {"example.test": ["@ A 127.0.0.1", 'guarded CAA 0 issue "other.test"', 'closed CAA 0 issue ";"']}


async def test_a_second_ca_stands_in_where_caa_records_let_it(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dns = await enter(bind(tmp_path, {"example.test": "zonesub TXT"}, records=RECORDS))
        bao = await enter(openbao(tmp_path))
        cas = [await enter(pebble(tmp_path, dns=dns.at, validity=seconds)) for seconds in (90 * 86400, SHORT)]
        first, second = [await enter(fault_proxy(ca.directory.removesuffix("/dir"))) for ca in cas]
        common = {"ca_bundle": str(cas[0].ca_pem), "dns_challenge": "rfc2136"}
        issuers: dict[str, dict[str, Any]] = {
            "first": {**common, "ca_dir_url": f"{first.url}/dir", "fallback": ["second"]},
            "second": {**common, "ca_dir_url": f"{second.url}/dir"},
        }
        running = await enter(node(tmp_path, bao=bao, issuers=issuers, dns=dns))
        client = await enter(running.client())
        first.plan(busy("3600"), on="POST /order-plz", times=100)

        created = await client.post("/api/v1/certificate", json={"issuer": "first", "domain": "www.example.test"})
        assert created.status_code == 201, created.text
        assert created.json()["issued_by"] == "second"
        assert (await client.get("/api/v1/certificate/first/www.example.test")).json()["issued_by"] == "second"

        await client.post("/api/v1/certificate", json={"issuer": "first", "domain": "goes-back.example.test"})

        guarded = {"issuer": "first", "domain": "guarded.example.test"}
        refused = await client.post("/api/v1/certificate", json=guarded)
        assert refused.status_code == 503
        assert second.count("POST /order-plz") == 2  # the CA has not been asked for that name

        await check_looks_ahead(client, guarded)

        first.heal()
        changed = await client.put(
            "/api/v1/certificate",
            json={"issuer": "first", "domain": "www.example.test", "key_type": "ec384", "revoke": True},
        )
        assert changed.status_code == 200, changed.text
        assert "issued_by" not in changed.json()
        assert second.count("POST /revoke-cert") == 1

        async def has_returned() -> bool:
            kept = (await client.get("/api/v1/certificate/first/goes-back.example.test")).json()
            return "issued_by" not in kept and await cas[0].status(int(kept["serial"], 16)) == "Valid"

        await eventually(has_returned, within=SHORT)  # by itself, in time


async def check_looks_ahead(client: httpx.AsyncClient, guarded: dict[str, str]) -> None:
    """Pebble does not say what it is called in CAA records: who is let in then is not known, who is kept out is."""
    for body, caa in ((guarded, None), ({**guarded, "domain": "a.closed.example.test"}, False)):
        answer = await client.post("/api/v1/certificate/check", json=body)
        assert answer.status_code == 200
        found = {one["check"]: one for one in answer.json()["findings"]}
        assert found["caa"]["ok"] is caa, found
        assert found["issuer"]["ok"] is found["dns-01"]["ok"] is found["operation"]["ok"] is True
        assert "zone example.test, which the provider serves" in found["dns-01"]["detail"]
