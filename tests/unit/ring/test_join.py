"""Where a node finds itself, and where it finds the others."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import dns.asyncresolver
import dns.resolver
import ifaddr
import pytest
import structlog.testing
import trio

from acme_manager.config.flags import Flags
from acme_manager.config.memberlist import MEMBERLIST_FLAGS, PREFIX
from acme_manager.errors import ConfigInvalid
from acme_manager.ring.addresses import Place, find_place, own_address
from acme_manager.ring.join import Lookup, Resolver, Seed, guesses, parse_seed, seeds_of


def flags(memberlist: Mapping[str, Any] | None = None, **given: Any) -> Flags:
    defaults = {flag.name.removeprefix(PREFIX): flag.default for flag in MEMBERLIST_FLAGS}
    return Flags(ring_memberlist={**defaults, **(memberlist or {})}, **given)


def adapter(name: str, *addresses: str) -> ifaddr.Adapter:
    ips = [ifaddr.IP((a, 0, 0) if ":" in a else a, 64 if ":" in a else 24, name) for a in addresses]
    return ifaddr.Adapter(name, name, ips)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    adapters = [
        adapter("lo", "127.0.0.1", "::1"),
        adapter("idle", "169.254.7.7", "fe80::1"),
        adapter("six", "2001:db8::5"),
        adapter("eth0", "192.0.2.10", "198.51.100.10"),
        adapter("eth1", "203.0.113.10"),
        adapter("bare"),
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters)


# --- where this node is ------------------------------------------------------------------------------------------


def test_without_any_flag_a_node_listens_on_its_first_real_ipv4_address(host: None) -> None:
    assert find_place(flags()) == Place(bind=("192.0.2.10", 7946), host="192.0.2.10")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("eth1", "203.0.113.10"),
        ("idle,eth1", "203.0.113.10"),
        ("idle", "169.254.7.7"),
        ("six", "2001:db8::5"),
        ("lo", "127.0.0.1"),
        ("idle, six", "169.254.7.7"),
    ],
)
def test_named_interfaces_are_the_only_ones_looked_at(host: None, names: str, found: str) -> None:
    assert find_place(flags(ring_instance_interface_names=names)).host == found


def test_an_interface_that_is_not_there_is_named_with_those_that_are(host: None) -> None:
    with pytest.raises(ConfigInvalid, match=r"-ring.instance-interface-names: .*'eth7'.*eth0, eth1"):
        own_address(["eth7"])


def test_interfaces_without_an_address_are_an_error_with_a_remedy(host: None) -> None:
    with pytest.raises(ConfigInvalid, match=r"-ring.instance-addr: the interfaces bare have no usable address"):
        own_address(["bare"])


def test_a_host_with_nothing_but_loopback_uses_that_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [adapter("lo", "127.0.0.1", "::1")])
    place = find_place(flags())
    assert place.bind == ("127.0.0.1", 7946)
    assert place.on_loopback


@pytest.mark.parametrize(
    ("given", "memberlist", "bind", "advertised"),
    [
        ({"ring_instance_addr": "10.1.1.1"}, {}, ("10.1.1.1", 7946), ("10.1.1.1", 7946)),
        ({"ring_instance_addr": "10.1.1.1", "ring_instance_port": 8000}, {}, ("10.1.1.1", 8000), ("10.1.1.1", 8000)),
        ({}, {"bind-addr": ("0.0.0.0",)}, ("0.0.0.0", 7946), ("192.0.2.10", 7946)),
        ({}, {"bind-addr": ("::",)}, ("::", 7946), ("2001:db8::5", 7946)),
        ({"ring_instance_addr": "10.1.1.1"}, {"bind-addr": ("0.0.0.0",)}, ("0.0.0.0", 7946), ("10.1.1.1", 7946)),
        ({}, {"bind-addr": ("10.2.2.2",), "bind-port": 7000}, ("10.2.2.2", 7000), ("10.2.2.2", 7000)),
        ({}, {"advertise-addr": "10.3.3.3"}, ("192.0.2.10", 7946), ("10.3.3.3", 7946)),
        ({}, {"advertise-port": 7001}, ("192.0.2.10", 7946), ("192.0.2.10", 7001)),
    ],
)
def test_flags_decide_where_to_listen_and_what_to_tell(
    host: None, given: dict[str, Any], memberlist: dict[str, Any], bind: tuple[str, int], advertised: tuple[str, int]
) -> None:
    place = find_place(flags(memberlist, **given))
    assert place.bind == bind
    assert place.advertised(place.bind) == advertised


def test_the_others_are_told_the_port_that_was_bound() -> None:
    assert Place(bind=("127.0.0.1", 0), host="127.0.0.1").advertised(("127.0.0.1", 4711)) == ("127.0.0.1", 4711)


@pytest.mark.parametrize(
    ("given", "memberlist", "flag"),
    [
        ({"ring_instance_addr": "node1"}, {}, "-ring.instance-addr"),
        ({}, {"advertise-addr": "node1"}, "-ring.memberlist.advertise-addr"),
        ({}, {"bind-addr": ("eth0",)}, "-ring.memberlist.bind-addr"),
        ({}, {"bind-addr": ("10.0.0.1", "10.0.0.2")}, "-ring.memberlist.bind-addr"),
    ],
)
def test_what_is_no_address_is_refused_by_the_flags_name(
    host: None, given: dict[str, Any], memberlist: dict[str, Any], flag: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        find_place(flags(memberlist, **given))
    assert [complaint.where for complaint in caught.value.complaints] == [flag]


# --- where the others are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seed"),
    [
        ("10.0.0.1:8000", Seed(Lookup.LITERAL, "10.0.0.1", 8000)),
        ("10.0.0.1", Seed(Lookup.LITERAL, "10.0.0.1", 7946)),
        ("[2001:db8::1]:8000", Seed(Lookup.LITERAL, "2001:db8::1", 8000)),
        ("[2001:db8::1]", Seed(Lookup.LITERAL, "2001:db8::1", 7946)),
        ("2001:db8::1", Seed(Lookup.LITERAL, "2001:db8::1", 7946)),
        ("node1:8000", Seed(Lookup.HOST, "node1", 8000)),
        ("node1", Seed(Lookup.HOST, "node1", 7946)),
        ("dns+node1.example.com:8000", Seed(Lookup.HOST, "node1.example.com", 8000)),
        ("dns+10.0.0.1:8000", Seed(Lookup.LITERAL, "10.0.0.1", 8000)),
        ("dnssrv+_gossip._tcp.example.com", Seed(Lookup.SERVICE, "_gossip._tcp.example.com", 0)),
        ("dnssrvnoa+_gossip._tcp.example.com", Seed(Lookup.SERVICE, "_gossip._tcp.example.com", 0)),
    ],
)
def test_a_member_to_join_is_read(text: str, seed: Seed) -> None:
    assert parse_seed(text) == seed


@pytest.mark.parametrize("text", ["", ":7946", "node1:0", "node1:99999", "a b", "[node1]:1", "a:b:c", "dnssrv+", "x:"])
def test_what_is_no_member_to_join_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"write ip:port|is no IP address|wants the name"):
        parse_seed(text)


def test_both_flags_are_read_and_every_complaint_is_made_at_once() -> None:
    seeds = seeds_of(flags({"join": ("10.0.0.3", "10.0.0.1")}, ring_join_members="10.0.0.1, node2:1,,"))
    assert list(map(str, seeds)) == ["10.0.0.1:7946", "dns+node2:1", "10.0.0.3:7946"]
    with pytest.raises(ConfigInvalid) as caught:
        seeds_of(flags({"join": ("b:0",)}, ring_join_members="a:0"))
    assert [complaint.where for complaint in caught.value.complaints] == ["-ring.join-members", "-ring.memberlist.join"]


def test_names_of_nodes_are_guessed_to_be_names_of_hosts() -> None:
    assert list(map(str, guesses(["node1", "10.0.0.1", "no host"], 7000))) == ["dns+node1:7000"]


async def test_literal_addresses_need_no_lookup_and_other_families_are_left_out() -> None:
    found = await Resolver("192.0.2.1").addresses(map(parse_seed, ["10.0.0.1:1", "[::1]:2", "10.0.0.1:1"]))
    assert found == [("10.0.0.1", 1)]


async def test_names_are_looked_up_as_the_host_does_it() -> None:
    assert await Resolver("127.0.0.1").addresses([parse_seed("localhost:99")]) == [("127.0.0.1", 99)]


async def test_srv_records_give_hosts_and_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(name: str, *_: object, lifetime: float) -> list[Any]:
        assert name == "_gossip._tcp.example.com"
        target = SimpleNamespace(to_text=lambda omit_final_dot: "localhost")
        return [SimpleNamespace(target=target, port=port) for port in (7001, 7002)]

    monkeypatch.setattr(dns.asyncresolver, "resolve", resolve)
    found = await Resolver("127.0.0.1").addresses([parse_seed("dnssrv+_gossip._tcp.example.com")])
    assert found == [("127.0.0.1", 7001), ("127.0.0.1", 7002)]


async def test_a_name_that_does_not_resolve_is_said_once_and_keeps_nobody_else_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", unknown)
    resolver = Resolver("127.0.0.1")
    seeds = [parse_seed("nowhere:1"), parse_seed("127.0.0.2:2"), *guesses(["guess"], 1)]
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            assert await resolver.addresses(seeds) == [("127.0.0.2", 2)]
    assert [log["member"] for log in logs] == ["dns+nowhere:1"]


async def test_a_server_that_is_silent_costs_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def silent(*_: object, **__: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(trio.socket, "getaddrinfo", silent)
    before = trio.current_time()
    assert await Resolver("127.0.0.1").addresses([parse_seed("slow:1"), parse_seed("127.0.0.2:2")]) == [
        ("127.0.0.2", 2)
    ]
    assert trio.current_time() - before == pytest.approx(5.0)


async def test_an_srv_name_without_records_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object, **__: object) -> None:
        raise dns.resolver.NXDOMAIN

    monkeypatch.setattr(dns.asyncresolver, "resolve", resolve)
    assert await Resolver("127.0.0.1").addresses([parse_seed("dnssrv+_x._tcp.example.com")]) == []
