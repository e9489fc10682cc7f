"""CAA records looked up on real name servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from acme_manager.dns.caa import find_caa
from acme_manager.dns.lookup import Lookup
from acme_manager.domain.caa import CaaRecord, CaaSet
from acme_manager.errors import DnsFailed
from tests.integration.dns.servers import config
from tests.parts.bind import bind
from tests.parts.dns_server import DnsServer
from tests.parts.knot import knot

RECORDS = {
    "example.test": (
        '@ CAA 0 issue "ca.test"',
        '@ CAA 0 issuewild "wild.test; accounturi=https://wild.test/1"',
        'strict CAA 128 issue ";"',
        "alias CNAME here.target.test.",
        "bare CNAME plain.target.test.",
        "gone CNAME nowhere.target.test.",
        "one CNAME two",
        "two CNAME one",
        "lame NS ns.lame",
        "ns.lame A 127.0.0.1",
    ),
    "target.test": ('@ CAA 0 issue "target.test"', 'here CAA 0 issue "here.test"', "plain A 127.0.0.1"),
    "free.test": ("www A 127.0.0.1",),
}
ZONES = ("test", *RECORDS)
APEX = {'0 issue "ca.test"', '0 issuewild "wild.test; accounturi=https://wild.test/1"'}


@pytest.fixture(params=["bind", "knot"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DnsServer]:
    if request.param == "bind":
        async with bind(tmp_path, dict.fromkeys(ZONES, ""), records=RECORDS) as running:
            yield running
    else:
        async with knot(tmp_path, ZONES, records=RECORDS) as running:
            yield running


async def test_the_nearest_set_on_the_way_up_counts(server: DnsServer) -> None:
    await check_the_nearest_set(Lookup(config(server)))


async def test_resolvers_are_asked_where_the_authority_is_not(tmp_path: Path) -> None:
    async with bind(tmp_path, dict.fromkeys(ZONES, ""), records=RECORDS) as server:
        await check_the_nearest_set(Lookup(attrs.evolve(config(server), ask_authoritative=False)))


async def check_the_nearest_set(lookup: Lookup) -> None:
    names = {
        "example.test": "example.test",
        "a.b.example.test": "example.test",
        "a.strict.example.test": "strict.example.test",
        "alias.example.test": "here.target.test",  # where the records of the alias's target stand
        "bare.example.test": "example.test",  # and not what is above the target
        "gone.example.test": "example.test",
        "www.free.test": "",
    }
    found = await find_caa(lookup, [*names, "one.example.test", "www.lame.example.test"])
    sets = {name: one for name, one in found.items() if isinstance(one, CaaSet)}
    assert {name: one.at for name, one in sets.items()} == names
    assert set(map(str, sets["a.b.example.test"].records)) == APEX
    assert sets["a.strict.example.test"].records == (CaaRecord(flags=128, tag="issue", value=";"),)
    assert sets["www.free.test"].records == ()
    circle, lame = found["one.example.test"], found["www.lame.example.test"]
    assert isinstance(circle, DnsFailed)
    assert isinstance(lame, DnsFailed)  # and a failure for one name hides nothing about the others


async def test_a_look_at_caa_records_teaches_no_wrong_zone(server: DnsServer) -> None:
    lookup = Lookup(config(server))
    await find_caa(lookup, ["www.example.test"])
    assert await lookup.zone_of("_acme-challenge.www.example.test") == "example.test"
    assert await lookup.zone_of("_acme-challenge.www.free.test") == "free.test"
