"""A look ahead through the API: what a real name server says, and what its remedies lead to."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.parts.acme2certifier import acme2certifier
from tests.parts.bind import bind
from tests.parts.dns_server import DnsServer
from tests.parts.node import node
from tests.parts.openbao import openbao

ZONE = "example.test"
RECORDS = {
    ZONE: [
        '@ CAA 0 issue "ca.test"',
        'other CAA 0 issue "other.test"',
        'account CAA 0 issue "ca.test; accounturi=https://ca.test/acct/1"',
        'method CAA 0 issue "ca.test; validationmethods=http-01"',
        'nobody CAA 0 issue ";"',
        "_acme-challenge.aliased CNAME aliased.auth.test.",
    ]
}
FORBIDDEN = {
    "other": "is for another CA",
    "account": "is for another account than ours, http",
    "method": "does not allow the method dns-01",
    "nobody": "allows nobody",
}
ADD = re.compile(r"add the record: (?P<name>\S+)\. CAA (?P<value>.+)")


async def test_what_a_check_forbids_is_allowed_once_its_remedies_are_applied(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dns = await enter(bind(tmp_path, {ZONE: "zonesub ANY", "auth.test": "zonesub ANY"}, records=RECORDS))
        ca = await enter(acme2certifier(tmp_path, dns=dns.at, caa_identity="ca.test"))
        bao = await enter(openbao(tmp_path))
        issuer = {"ca_dir_url": ca.directory, "dns_challenge": "rfc2136", "contact": "admin@example.test"}
        running = await enter(node(tmp_path, bao=bao, issuers={"ca": issuer}, dns=dns))
        client = await enter(running.client())
        allowed = {"issuer": "ca", "domain": f"www.{ZONE}", "san": f"aliased.{ZONE}"}

        ok, found = await check(client, allowed)
        assert ok is True, found
        assert f'CAA 0 issue "ca.test" at {ZONE} allows it' in found["caa"][0]["detail"]
        by_name = {one["detail"].partition(":")[0]: one for one in found["dns-01"]}
        assert f"goes into zone {ZONE}, which the provider serves" in by_name[f"www.{ZONE}"]["detail"]
        assert "goes to aliased.auth.test by CNAME, into zone auth.test" in by_name[f"aliased.{ZONE}"]["detail"]

        ok, found = await check(client, {"issuer": "ca", "domain": "www.elsewhere.test"})
        assert ok is False
        assert found["dns-01"][0]["ok"] is False
        assert "_acme-challenge.www.elsewhere.test. CNAME www.elsewhere.test.<zone" in found["dns-01"][0]["remedy"]

        wanted = {"issuer": "ca", "domain": f"other.{ZONE}", "san": ",".join(f"{one}.{ZONE}" for one in FORBIDDEN)}
        ok, found = await check(client, wanted)
        assert ok is False
        assert len(found["caa"]) == len(FORBIDDEN)
        for one in found["caa"]:
            host = one["detail"].partition(".")[0]
            assert one["ok"] is False
            assert FORBIDDEN[host] in one["detail"]
            await follow(one["remedy"], dns)
        ok, found = await check(client, wanted)
        assert ok is True, found
        assert dns.key.secret not in str(found)
        assert await dns.txt(f"_acme-challenge.other.{ZONE}") == set()

        created = await client.post("/api/v1/certificate", json=wanted)
        assert created.status_code == 201, created.text


async def check(client: httpx.AsyncClient, body: dict[str, str]) -> tuple[bool, dict[str, list[dict[str, Any]]]]:
    """Whether all is well, and the findings by kind."""
    answer = await client.post("/api/v1/certificate/check", json=body)
    assert answer.status_code == 200, answer.text
    findings: dict[str, list[dict[str, Any]]] = {}
    for one in answer.json()["findings"]:
        findings.setdefault(one["check"], []).append(one)
    return answer.json()["ok"], findings


async def follow(remedy: str, dns: DnsServer) -> None:
    """Do what a remedy says, to the letter."""
    record = ADD.fullmatch(remedy)
    assert record is not None, remedy
    await dns.add(ZONE, record["name"], "CAA", record["value"])
