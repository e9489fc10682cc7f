from __future__ import annotations

from typing import Any

import pytest

from acme_manager.config.dns import DnsZone
from acme_manager.config.model import DnsConfig
from acme_manager.dns.wire import Server
from acme_manager.dns.zones import Rules, ZoneRules

NAME = "_acme-challenge.www.corp.example"
WORLD = Rules(resolvers=(Server("192.0.2.53"),), ask_authoritative=True, ask_resolvers=False, wait=0.0)


def rules(zone: dict[str, Any], **world: Any) -> Rules:
    config = DnsConfig(
        resolvers=(("192.0.2.53", 53),), zones={"corp.example": DnsZone(name="corp.example", **zone)}, **world
    )
    assert ZoneRules(config).of("corp.example.test") == ZoneRules(DnsConfig(resolvers=config.resolvers, **world)).of("")
    return ZoneRules(config).of(NAME)


def test_what_a_zone_does_not_say_is_as_for_all_names() -> None:
    assert rules({}) == WORLD
    found = rules({}, ask_authoritative=False, ask_resolvers=True)
    assert (found.ask_authoritative, found.ask_resolvers) == (False, True)
    assert rules({}, propagation_wait=9.0).wait == 9.0


@pytest.mark.parametrize(
    ("check", "expected"), [("authoritative", (True, False)), ("resolvers", (False, True)), ("none", (False, False))]
)
def test_a_check_replaces_that_for_all_names(check: str, expected: tuple[bool, bool]) -> None:
    for world in ({}, {"ask_authoritative": False}, {"ask_resolvers": True}, {"propagation_wait": 9.0}):
        found = rules({"check": check}, **world)
        assert (found.ask_authoritative, found.ask_resolvers, found.wait) == (*expected, 0.0)


def test_whoever_names_servers_wants_them_asked() -> None:
    for world in ({}, {"ask_authoritative": False}, {"propagation_wait": 9.0}):
        found = rules({"servers": (("10.0.0.1", 53),)}, **world)
        assert (found.servers, found.ask_authoritative, found.wait) == ((Server("10.0.0.1"),), True, 0.0)


def test_resolvers_and_times_of_a_zone_are_its_own() -> None:
    found = rules({"resolvers": (("10.0.0.2", 5353),), "timeout": 90.0, "interval": 0.5})
    assert (found.resolvers, found.timeout, found.interval) == ((Server("10.0.0.2", 5353),), 90.0, 0.5)
    assert rules({"wait": 5.0}).wait == 5.0
