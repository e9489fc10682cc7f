from __future__ import annotations

import dns.resolver
import pytest

from acme_manager.config.model import DnsConfig
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.wire import Server
from acme_manager.errors import DnsFailed


def test_configured_resolvers_come_in_their_order_with_their_ports() -> None:
    lookup = Lookup(DnsConfig(resolvers=(("192.0.2.2", 5353), ("192.0.2.1", 53))))
    assert lookup.resolvers("example.com") == (Server("192.0.2.2", 5353), Server("192.0.2.1", 53))


def test_without_configured_resolvers_the_systems_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class System:
        nameservers = ("192.0.2.7", "2001:db8::7")

    monkeypatch.setattr(dns.resolver, "Resolver", System)
    assert Lookup(DnsConfig()).resolvers("example.com") == (Server("192.0.2.7"), Server("2001:db8::7"))


def test_no_resolver_at_all_is_an_error_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver, "Resolver", none)
    with pytest.raises(DnsFailed, match="set ACME_MANAGER_DNS_RESOLVERS"):
        _ = Lookup(DnsConfig()).resolvers("example.com")
