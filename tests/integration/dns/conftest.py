from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.dns.servers import NameServer, bind, knot, zone_file

ZONES = {
    "example.test": zone_file(
        "_acme-challenge.one CNAME one.auth.test.\n"
        "_acme-challenge.two CNAME two.relay.test.\n"
        "_acme-challenge.loop CNAME loop.relay.test.\n"
        "www CNAME web.auth.test.\n"
        "_acme-challenge.cut NS ns1.example.test.\n"
    ),
    "_acme-challenge.cut.example.test": zone_file("@ NS ns1.example.test.", servers={}),
    "child.example.test": zone_file(),
    "relay.test": zone_file("two CNAME two.auth.test.\nloop CNAME _acme-challenge.loop.example.test.\n"),
    "auth.test": zone_file(),
    "lag.test": zone_file(servers={"ns1": "127.0.0.1", "ns2": "127.0.0.2"}),
    "locked.test": zone_file(),
}


@pytest.fixture
def bind_server(tmp_path: Path) -> Iterator[NameServer]:
    with bind(tmp_path, ZONES) as server:
        yield server


@pytest.fixture
def knot_server(tmp_path: Path) -> Iterator[NameServer]:
    with knot(tmp_path, {zone: text for zone, text in ZONES.items() if zone != "locked.test"}) as server:
        yield server


@pytest.fixture(params=["bind", "knot"])
def server(request: pytest.FixtureRequest) -> NameServer:
    found = request.getfixturevalue(f"{request.param}_server")
    assert isinstance(found, NameServer)
    return found
