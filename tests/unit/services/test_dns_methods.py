"""Experimental ways to prove a name: refused unless they are allowed, and looked at before an order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from acme_manager.config.model import Common
from acme_manager.domain.finding import Finding
from acme_manager.errors import InvalidRequest
from acme_manager.ports import IssuerFacts
from acme_manager.services.dns_methods import DnsMethods
from acme_manager.services.issuers import Issuers
from tests.fakes.ca import MemoryCa
from tests.fakes.dns import MemoryLookup, memory_dns
from tests.unit.dns.fakes import MemoryProvider
from tests.unit.services.world import ALICE, FixedClock, open_world, preflight, settings_with, wish

ACCOUNT = "https://example.com/acme/acct/ExampleAccount"
RECORDS = {"_validation-persist.example.com TXT": [f'"ca.test; accounturi={ACCOUNT}"']}


def methods(*, experimental: bool) -> DnsMethods:
    dns = memory_dns(MemoryLookup(RECORDS), {"plain": lambda _name, _environ, _lookup: MemoryProvider()})
    return DnsMethods(dns, settings_with(Common(experimental=experimental)), FixedClock())


@pytest.mark.parametrize("name", ["dns-persist-01", "dns-account-01/plain"])
def test_an_experiment_has_to_be_allowed(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"experiment.*common\.experimental"):
        methods(experimental=False).solver(name, "alice")
    assert methods(experimental=True).solver(name, "alice").type == name.partition("/")[0]


def test_dns_01_and_unknown_providers_are_as_ever() -> None:
    assert methods(experimental=False).solver("plain", "alice").type == "dns-01"
    for name in ("none", "dns-account-01/none", "dns-account-01"):
        with pytest.raises(InvalidRequest, match=name.rpartition("/")[2]):
            methods(experimental=True).solver(name, "alice")


@asynccontextmanager
async def look(**changes: Any) -> AsyncIterator[list[Finding]]:
    ca, ways = MemoryCa(), methods(experimental=True)
    ca.said = IssuerFacts(caa_identities=("ca.test",), account=ACCOUNT)
    async with open_world(ca=ca) as world:
        of_world = world.issuing.issuers
        issuers = Issuers(of_world._issuers, http_solver=of_world._http_solver, dns_solver=ways.solver)
        yield await preflight(world, ways.dns, issuers=issuers).check(ALICE, wish(**changes))


async def test_a_look_ahead_shows_the_record_to_create() -> None:
    names = {"domain": "example.com", "san": "*.example.com,www.example.com"}
    async with look(**names, dns_challenge="dns-persist-01") as found:
        assert [(one.ok, one.detail, one.remedy) for one in found if one.check == "dns-persist-01"] == [
            (True, "example.com: a record lets our account prove it", ""),
            (
                False,
                "*.example.com: no record lets our account",
                f'create: _validation-persist.example.com. IN TXT "ca.test; accounturi={ACCOUNT}; policy=wildcard"',
            ),
            (
                False,
                "www.example.com: no record lets our account",
                f'create: _validation-persist.www.example.com. IN TXT "ca.test; accounturi={ACCOUNT}"',
            ),
        ]
        (challenge,) = [one for one in found if one.check == "challenge"]
        assert (challenge.ok, challenge.detail) == (True, "dns-persist-01 by 'dns-persist-01'")


async def test_a_look_ahead_follows_the_name_that_is_our_account_s_own() -> None:
    async with look(domain="example.com", dns_challenge="dns-account-01/plain") as found:
        (challenge,) = [one for one in found if one.check == "challenge"]
        assert (challenge.ok, challenge.detail) == (True, "dns-account-01 by 'plain'")
        assert [one for one in found if one.check == "dns-01"]
