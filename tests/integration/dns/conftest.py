from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.parts.bind import bind
from tests.parts.dns_server import DnsServer
from tests.parts.knot import knot

RECORDS = {
    "example.test": (
        "_acme-challenge.one CNAME one.auth.test.",
        "_acme-challenge.two CNAME two.relay.test.",
        "_acme-challenge.loop CNAME loop.relay.test.",
        "www CNAME web.auth.test.",
        "_acme-challenge.cut NS ns.example.test.",
    ),
    "relay.test": ("two CNAME two.auth.test.", "loop CNAME _acme-challenge.loop.example.test."),
    "lag.test": ("@ NS ns2", "ns2 A 127.0.0.2"),
}
ZONES = ("example.test", "child.example.test", "relay.test", "auth.test", "lag.test")
CUT = "_acme-challenge.cut.example.test"  # BIND refuses a host name with an underscore, and `ns` of this zone has one


@pytest.fixture
async def bind_server(tmp_path: Path) -> AsyncIterator[DnsServer]:
    """The key may change TXT records only, and nothing in locked.test."""
    rights = {**dict.fromkeys(ZONES, "zonesub TXT"), "locked.test": ""}
    async with bind(tmp_path, rights, records=RECORDS) as running:
        yield running


@pytest.fixture
async def knot_server(tmp_path: Path) -> AsyncIterator[DnsServer]:
    async with knot(tmp_path, (*ZONES, CUT), records=RECORDS) as running:
        yield running


@pytest.fixture(params=["bind", "knot"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DnsServer]:
    if request.param == "bind":
        async with bind(tmp_path, dict.fromkeys(ZONES, "zonesub TXT"), records=RECORDS) as running:
            yield running
    else:
        async with knot(tmp_path, ZONES, records=RECORDS) as running:
            yield running
