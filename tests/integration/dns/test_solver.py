"""The whole of dns-01 on real name servers."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import trio
from prometheus_client import CollectorRegistry

from acme_manager.config.model import DnsConfig
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.solver import DnsSolver, DnsSolvers
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import DnsFailed
from acme_manager.ports import Challenge, Trace
from tests.integration.dns.servers import config, environ, reply, scripted
from tests.parts.dns_server import DnsServer
from tests.parts.program import free_port

LAGGING = "_acme-challenge.lag.test"


def challenge(domain: str, token: str = "token") -> Challenge:
    return Challenge(parse_identifier(domain), "dns-01", token, f"{token}.thumbprint")


def solvers(server: DnsServer, settings: DnsConfig | None = None, **variables: str) -> DnsSolvers:
    metrics = DnsMetrics(CollectorRegistry())
    return DnsSolvers(settings or config(server), {**environ(server), **variables}, metrics)


def solver(server: DnsServer, settings: DnsConfig | None = None, **variables: str) -> DnsSolver:
    return solvers(server, settings, **variables).solver("rfc2136")


async def shown(server: DnsServer, traces: Sequence[Trace]) -> bool:
    return [trace["value"] in await server.txt(trace["name"]) for trace in traces] == [True] * len(traces)


async def gone(server: DnsServer, traces: Sequence[Trace]) -> bool:
    return [await server.txt(trace["name"]) for trace in traces] == [set()] * len(traces)


async def test_a_record_is_visible_inside_and_gone_outside(server: DnsServer) -> None:
    dns01 = solver(server)
    traces = await dns01.plan([challenge("www.example.test")])
    assert traces[0]["name"] == "_acme-challenge.www.example.test"
    async with dns01.presented(traces):
        assert await shown(server, traces)
    assert await gone(server, traces)


async def test_a_wildcard_and_its_base_share_a_name(server: DnsServer) -> None:
    dns01 = solver(server)
    traces = await dns01.plan([challenge("example.test", "a"), challenge("example.test", "b")])
    assert traces[0]["name"] == traces[1]["name"]
    async with dns01.presented(traces):
        assert len(await server.txt("_acme-challenge.example.test")) == 2


@pytest.mark.parametrize(("domain", "target"), [("one", "one.auth.test"), ("two", "two.auth.test")])
async def test_cname_delegation_is_followed_into_another_zone(server: DnsServer, domain: str, target: str) -> None:
    dns01 = solver(server)
    traces = await dns01.plan([challenge(f"{domain}.example.test")])
    assert traces[0]["name"] == target
    async with dns01.presented(traces):
        assert await shown(server, traces)
    assert await server.txt(target) == set()


async def test_cname_delegation_is_followed_through_the_resolvers_too(bind_server: DnsServer) -> None:
    settings = attrs.evolve(config(bind_server), ask_authoritative=False, ask_resolvers=True)
    dns01 = solver(bind_server, settings)
    traces = await dns01.plan([challenge("two.example.test")])
    assert traces[0]["name"] == "two.auth.test"
    async with dns01.presented(traces):
        assert await shown(bind_server, traces)


async def test_following_can_be_switched_off(bind_server: DnsServer) -> None:
    settings = attrs.evolve(config(bind_server), follow_cname=False)
    traces = await solver(bind_server, settings).plan([challenge("one.example.test")])
    assert traces[0]["name"] == "_acme-challenge.one.example.test"


async def test_cnames_in_a_circle_are_an_error_that_shows_the_circle(server: DnsServer) -> None:
    with pytest.raises(
        DnsFailed, match=r"in a circle: _acme-challenge\.loop\.example\.test -> loop\.relay\.test -> _acme"
    ):
        await solver(server).plan([challenge("loop.example.test")])


async def test_a_name_below_an_alias_belongs_to_the_zone_of_the_name_not_of_its_target(server: DnsServer) -> None:
    dns01 = solver(server)
    traces = await dns01.plan([challenge("www.example.test")])
    async with dns01.presented(traces):
        assert await shown(server, traces)


async def test_a_zone_of_its_own_for_the_challenge_is_found(knot_server: DnsServer) -> None:
    dns01 = solver(knot_server)
    traces = await dns01.plan([challenge("cut.example.test")])
    async with dns01.presented(traces):
        assert await shown(knot_server, traces)


async def test_fifty_records_at_once(server: DnsServer) -> None:
    dns01 = solver(server)
    traces = await dns01.plan([challenge(f"h{number}.example.test") for number in range(50)])
    async with dns01.presented(traces):
        assert await shown(server, traces)
    assert await gone(server, traces)


async def test_a_name_with_more_values_than_fit_a_datagram_is_seen_over_tcp(server: DnsServer) -> None:
    dns01 = solver(server)
    traces = await dns01.plan([challenge("www.example.test", f"token{number}") for number in range(40)])
    async with dns01.presented(traces):
        pass
    assert await server.txt("_acme-challenge.www.example.test") == set()


async def test_a_zone_that_its_parent_does_not_delegate_is_found_after_the_parent_is_known(
    bind_server: DnsServer,
) -> None:
    inside = "inner.example.test"
    soa = dns.rrset.from_text(f"{inside}.", 5, "IN", "SOA", "ns. host. 1 60 60 600 1")

    def inner(_count: int, query: dns.message.Message) -> dns.message.Message:
        name = query.question[0].name.to_text(omit_final_dot=True)
        if name == f"ns.{inside}":
            return reply(query, "127.0.0.4", kind="A")
        answer = reply(query, f"ns.{inside}.", kind="NS")
        answer.authority = [] if answer.answer else [soa]
        return answer

    def resolver(count: int, query: dns.message.Message) -> dns.message.Message:
        if query.question[0].name.is_subdomain(soa.name):
            return inner(count, query)
        return dns.query.udp(query, bind_server.address, port=bind_server.port, timeout=5)

    port = bind_server.port
    settings = attrs.evolve(config(bind_server), resolvers=(("127.0.0.5", port),))
    async with scripted(("127.0.0.4", port), inner), scripted(("127.0.0.5", port), resolver):
        shared = solvers(bind_server, settings)
        for domain in ("example.test", "www.example.test", f"www.{inside}"):
            await shared.solver("rfc2136").plan([challenge(domain)])
        servers = await shared.lookup.authoritative(f"_acme-challenge.www.{inside}")
        assert [str(one) for one in servers] == [f"ns.{inside} (127.0.0.4:{port})"]


async def test_another_process_removes_by_the_traces_alone(server: DnsServer) -> None:
    first = solver(server)
    traces = [dict(trace) for trace in await first.plan([challenge("www.example.test")])]
    provider = solvers(server).provider("rfc2136")
    await provider.put_txt(traces[0]["name"], traces[0]["value"])
    await solver(server).remove(traces)
    await solver(server).remove(traces)
    assert await gone(server, traces)


async def test_a_failure_inside_leaves_nothing_behind(server: DnsServer) -> None:
    dns01 = solver(server)
    traces = await dns01.plan([challenge("www.example.test")])
    with pytest.raises(KeyError):
        async with dns01.presented(traces):
            raise KeyError("the validation failed")
    assert await gone(server, traces)


async def test_a_cancellation_leaves_nothing_behind(server: DnsServer) -> None:
    dns01 = solver(server)
    traces = await dns01.plan([challenge(f"h{number}.example.test") for number in range(5)])
    with trio.CancelScope() as scope:
        async with dns01.presented(traces):
            scope.cancel()
            await trio.sleep_forever()
    assert await gone(server, traces)


async def test_a_secondary_that_lags_is_waited_for(bind_server: DnsServer) -> None:
    dns01 = solver(bind_server)
    traces = await dns01.plan([challenge("lag.test")])
    asked: list[int] = []

    def script(count: int, query: dns.message.Message) -> dns.message.Message:
        asked.append(count)
        return reply(query, traces[0]["value"]) if count > 3 else reply(query, rcode=dns.rcode.NXDOMAIN)

    async with scripted(("127.0.0.2", bind_server.port), script), dns01.presented(traces):
        assert asked == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("words", "rcode", "values"),
    [
        ("says that the name does not exist \\(NXDOMAIN\\)", dns.rcode.NXDOMAIN, ()),
        ("refuses to answer \\(REFUSED\\)", dns.rcode.REFUSED, ()),
        ("has no TXT record there", dns.rcode.NOERROR, ()),
        ("shows other values: 'stale'", dns.rcode.NOERROR, ("stale",)),
        ("did not answer within", None, ()),
    ],
)
async def test_a_secondary_that_never_shows_it_is_named_with_what_it_said(
    bind_server: DnsServer, words: str, rcode: dns.rcode.Rcode | None, values: tuple[str, ...]
) -> None:
    dns01 = solver(bind_server, attrs.evolve(config(bind_server), timeout=0.2), RFC2136_PROPAGATION_TIMEOUT="0.6")
    traces = await dns01.plan([challenge("lag.test")])

    def script(_count: int, query: dns.message.Message) -> dns.message.Message | None:
        return None if rcode is None else reply(query, *values, rcode=rcode)

    pattern = rf"ns2\.lag\.test \(127\.0\.0\.2:\d+\) does not show the TXT record of {LAGGING}: it {words}"
    async with scripted(("127.0.0.2", bind_server.port), script):
        with pytest.raises(DnsFailed, match=pattern) as caught:
            async with dns01.presented(traces):
                raise AssertionError("not reached")
    assert "ns.lag.test" not in str(caught.value)
    assert caught.value.server == f"ns2.lag.test (127.0.0.2:{bind_server.port})"
    assert await bind_server.txt(LAGGING) == set()


async def test_a_secondary_that_is_down_is_named(bind_server: DnsServer) -> None:
    dns01 = solver(bind_server, RFC2136_PROPAGATION_TIMEOUT="0.3")
    traces = await dns01.plan([challenge("lag.test")])
    with pytest.raises(DnsFailed, match=r"ns2\.lag\.test .* can't be reached: Connection refused"):
        async with dns01.presented(traces):
            raise AssertionError("not reached")


async def test_two_orders_for_one_record_do_not_take_it_from_each_other(server: DnsServer) -> None:
    shared = solvers(server)
    first, second = shared.solver("rfc2136"), shared.solver("rfc2136")
    traces = await first.plan([challenge("www.example.test")])
    async with first.presented(traces):
        async with second.presented(traces):
            assert await shown(server, traces)
        await shared.solver("rfc2136").remove(traces)
        assert await shown(server, traces)
    assert await gone(server, traces)


async def test_a_resolver_that_is_down_is_passed_over(bind_server: DnsServer) -> None:
    resolvers = (("127.0.0.1", free_port()), bind_server.at)
    traces = await solver(bind_server, attrs.evolve(config(bind_server), resolvers=resolvers)).plan(
        [challenge("one.example.test")]
    )
    assert traces[0]["name"] == "one.auth.test"


async def test_no_resolver_answering_is_an_error_that_names_each(bind_server: DnsServer) -> None:
    port = free_port()
    settings = attrs.evolve(config(bind_server), resolvers=(("127.0.0.1", port), ("127.0.0.3", port)))
    with pytest.raises(
        DnsFailed, match=rf"127\.0\.0\.1:{port} can't be reached: .*; 127\.0\.0\.3:{port} can't be reached"
    ):
        await solver(bind_server, settings).plan([challenge("example.test")])


async def test_a_resolver_is_not_asked_before_every_authoritative_server_shows_the_record(
    bind_server: DnsServer,
) -> None:
    port = bind_server.port
    settings = attrs.evolve(config(bind_server), resolvers=(("127.0.0.5", port),), ask_resolvers=True)
    dns01 = solver(bind_server, settings)
    events: list[str] = []

    def secondary(count: int, query: dns.message.Message) -> dns.message.Message:
        events.append("secondary")
        return reply(query, *([traces[0]["value"]] if count > 2 else []))

    def resolver(count: int, query: dns.message.Message) -> dns.message.Message:
        if query.question[0].rdtype != dns.rdatatype.TXT:
            return dns.query.udp(query, bind_server.address, port=port, timeout=5)
        events.append("resolver")
        return reply(query, *([traces[0]["value"]] if count > 1 else []))

    async with scripted(("127.0.0.2", port), secondary), scripted(("127.0.0.5", port), resolver):
        traces = await dns01.plan([challenge("lag.test")])
        events.clear()  # either name server may have been asked for the CNAME record
        async with dns01.presented(traces):
            assert events == ["secondary"] * 3 + ["resolver"] * 2
