from __future__ import annotations

from typing import Any

import pytest
import trio
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from trio.testing import MockClock

from acme_manager.config.model import DnsConfig
from acme_manager.dns.challenge import Record
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.providers import BuiltIn
from acme_manager.dns.registry import Registry
from acme_manager.dns.solver import CLEANUP_SECONDS, DnsSolver, DnsSolvers
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import DnsFailed, InvalidRequest
from acme_manager.ports import Challenge
from tests.unit.dns.fakes import MemoryProvider

OFFLINE = DnsConfig(follow_cname=False, ask_authoritative=False)


@pytest.fixture
def provider() -> MemoryProvider:
    return MemoryProvider()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def shared(provider: MemoryProvider, registry: CollectorRegistry) -> DnsSolvers:
    return DnsSolvers(OFFLINE, {}, DnsMetrics(registry), memory_registry(provider))


@pytest.fixture
def solver(shared: DnsSolvers) -> DnsSolver:
    return shared.solver("memory")


def memory_registry(provider: MemoryProvider) -> Registry:
    return Registry([BuiltIn({"memory": lambda _name, _environ, _lookup: provider})])


def traces(*values: str, provider: str = "memory") -> list[Any]:
    return [Record(provider, f"_acme-challenge.{value}.test", value).trace() for value in values]


async def test_a_plan_has_a_trace_for_each_challenge_in_order(solver: DnsSolver) -> None:
    challenges = [Challenge(parse_identifier(f"{x}.test"), "dns-01", x, f"{x}.key") for x in "abc"]
    planned = await solver.plan(challenges)
    assert [trace["name"] for trace in planned] == [f"_acme-challenge.{x}.test" for x in "abc"]
    assert {trace["provider"] for trace in planned} == {"memory"}


async def test_an_ip_address_is_refused_in_words(solver: DnsSolver) -> None:
    with pytest.raises(DnsFailed, match="IP address"):
        await solver.plan([Challenge(parse_identifier("192.0.2.1"), "dns-01", "t", "t.key")])


async def test_the_same_trace_twice_is_written_once(solver: DnsSolver, provider: MemoryProvider) -> None:
    async with solver.presented(traces("a", "a")):
        pass
    assert [call[0] for call in provider.calls] == ["put", "remove"]


async def test_a_failing_entry_removes_what_it_had_begun_and_nothing_else(
    solver: DnsSolver, provider: MemoryProvider
) -> None:
    provider.failing.add(("put", "v3"))
    with pytest.raises(DnsFailed, match="can't put v3"):
        async with solver.presented(traces(*(f"v{number}" for number in range(40)))):
            raise AssertionError("not reached")
    assert provider.records == set()
    put = {value for action, _, value in provider.calls if action == "put"}
    removed = {value for action, _, value in provider.calls if action == "remove"}
    assert removed == put


async def test_several_failures_are_raised_as_one_not_as_a_group(solver: DnsSolver, provider: MemoryProvider) -> None:
    provider.failing = {("put", value) for value in "abc"}
    with pytest.raises(DnsFailed):
        async with solver.presented(traces("a", "b", "c")):
            raise AssertionError("not reached")


async def test_a_removal_that_fails_is_logged_and_counted_and_the_others_go_on(
    solver: DnsSolver, provider: MemoryProvider, registry: CollectorRegistry
) -> None:
    provider.failing.add(("remove", "a"))
    with capture_logs() as logs:
        async with solver.presented(traces("a", "b")):
            pass
    assert provider.records == {("_acme-challenge.a.test", "a")}
    assert [(entry["event"], entry["name"]) for entry in logs] == [("TXT record left behind", "_acme-challenge.a.test")]
    assert registry.get_sample_value("acme_manager_dns_records_left_behind_total", {"provider": "memory"}) == 1


async def test_a_defect_in_a_removal_does_not_hide_the_error_of_the_body(
    solver: DnsSolver, provider: MemoryProvider
) -> None:
    async def fail_inside() -> None:
        async with solver.presented(traces("a")):
            provider.broken = True
            raise KeyError("body")

    with pytest.raises(KeyError, match="body"), capture_logs():
        await fail_inside()


async def test_a_removal_that_hangs_is_given_up_and_reported(
    solver: DnsSolver, provider: MemoryProvider, autojump_clock: MockClock
) -> None:
    with capture_logs() as logs:
        async with solver.presented(traces("a")):
            provider.delay = 3600
            began = trio.current_time()
        assert trio.current_time() - began == pytest.approx(CLEANUP_SECONDS)
    assert logs[0]["reason"] == "there was no time left"


async def test_a_cancelled_entry_removes_what_may_have_been_written(
    solver: DnsSolver, provider: MemoryProvider, autojump_clock: MockClock
) -> None:
    provider.delay = 2
    with trio.move_on_after(1) as scope:
        async with solver.presented(traces("a", "b")):
            raise AssertionError("not reached")
    assert scope.cancelled_caught
    assert sorted(call[0] for call in provider.calls) == ["put", "put", "remove", "remove"]


async def test_changes_are_made_at_once_but_not_without_bound(
    solver: DnsSolver, provider: MemoryProvider, autojump_clock: MockClock
) -> None:
    provider.delay = 1
    began = trio.current_time()
    async with solver.presented(traces(*(str(number) for number in range(64)))):
        assert trio.current_time() - began == pytest.approx(4)
    assert provider.busiest == 16


async def test_a_record_shared_by_two_orders_goes_with_the_last(
    shared: DnsSolvers, provider: MemoryProvider, autojump_clock: MockClock
) -> None:
    async def order(seconds: float) -> None:
        async with shared.solver("memory").presented(traces("a")):
            await trio.sleep(seconds)
            assert provider.records == {("_acme-challenge.a.test", "a")}

    provider.delay = 0.5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(order, 1)
        nursery.start_soon(order, 3)
    assert provider.records == set()


async def test_an_entry_during_the_removal_of_the_same_record_ends_with_the_record_in_place(
    shared: DnsSolvers, provider: MemoryProvider, autojump_clock: MockClock
) -> None:
    provider.delay = 1

    async def first() -> None:
        async with shared.solver("memory").presented(traces("a")):
            pass  # removal lasts from 1 s to 2 s

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.sleep(1.5)
        async with shared.solver("memory").presented(traces("a")):
            assert provider.records == {("_acme-challenge.a.test", "a")}
    assert provider.records == set()


async def test_removal_tries_all_and_then_says_what_failed(solver: DnsSolver, provider: MemoryProvider) -> None:
    provider.records = {(trace["name"], trace["value"]) for trace in traces("a", "b", "c")}
    provider.failing.add(("remove", "a"))
    with pytest.raises(DnsFailed, match="can't remove a"):
        await solver.remove(traces("a", "b", "c"))
    assert provider.records == {("_acme-challenge.a.test", "a")}


async def test_a_trace_of_a_provider_that_is_gone_says_so(solver: DnsSolver) -> None:
    with pytest.raises(DnsFailed, match="can't be changed: DNS provider 'gone' does not exist"):
        await solver.remove(traces("a", provider="gone"))


async def test_a_trace_that_is_none_is_refused(solver: DnsSolver) -> None:
    with pytest.raises(DnsFailed, match="lacks 'name'"):
        await solver.remove([{"type": "dns-01", "provider": "memory"}])


async def test_a_fixed_wait_replaces_looking(provider: MemoryProvider, autojump_clock: MockClock) -> None:
    config = DnsConfig(follow_cname=False, propagation_wait=90.0)
    shared = DnsSolvers(config, {}, DnsMetrics(CollectorRegistry()), memory_registry(provider))
    began = trio.current_time()
    async with shared.solver("memory").presented(traces("a")):
        assert trio.current_time() - began == pytest.approx(90)


async def test_changes_are_counted_by_outcome(
    solver: DnsSolver, provider: MemoryProvider, registry: CollectorRegistry
) -> None:
    provider.failing.add(("put", "a"))
    with pytest.raises(DnsFailed):
        async with solver.presented(traces("a")):
            pass

    def count(action: str, outcome: str) -> float | None:
        labels = {"provider": "memory", "action": action, "outcome": outcome}
        return registry.get_sample_value("acme_manager_dns_record_changes_total", labels)

    assert (count("put", "failed"), count("remove", "ok"), count("put", "ok")) == (1, 1, None)


def test_an_unknown_provider_is_refused_with_those_that_exist(shared: DnsSolvers) -> None:
    with pytest.raises(InvalidRequest, match="DNS provider 'other' does not exist; there are: memory"):
        shared.solver("other")


async def test_nothing_is_kept_about_records_once_they_are_gone(solver: DnsSolver, shared: DnsSolvers) -> None:
    async with solver.presented(traces("a", "b")):
        assert len(shared.holds) == 2
    assert len(shared.holds) == 0
