from __future__ import annotations

import trio
import trio.testing
from prometheus_client import CollectorRegistry

from acme_manager.structure import Bell, background
from acme_manager.workers.schedule import every
from tests.unit.services.world import worker_metrics


async def test_a_round_comes_at_once_and_then_every_period(autojump_clock: trio.testing.MockClock) -> None:
    times: list[float] = []

    async def work() -> None:
        times.append(trio.current_time())
        await trio.sleep(1)

    async with background(every(10, "w", work, worker_metrics(CollectorRegistry()))):
        await trio.sleep(35)
    assert [round(time - times[0]) for time in times] == [0, 10, 20, 30]


async def test_a_round_that_fails_is_counted_and_the_next_one_comes(autojump_clock: trio.testing.MockClock) -> None:
    registry, rounds = CollectorRegistry(), 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        await trio.lowlevel.checkpoint()
        raise RuntimeError("boom")

    async with background(every(10, "w", work, worker_metrics(registry))):
        await trio.sleep(25)
        assert registry.get_sample_value("acme_manager_worker_last_success_timestamp_seconds", {"worker": "w"}) == 0
    assert rounds == 3
    assert registry.get_sample_value("acme_manager_worker_failures_total", {"worker": "w"}) == 3


async def test_only_a_worker_that_runs_can_be_missed(autojump_clock: trio.testing.MockClock) -> None:
    registry = CollectorRegistry()
    names = ("acme_manager_worker_last_success_timestamp_seconds", "acme_manager_worker_interval_seconds")
    async with background(every(10, "w", trio.lowlevel.checkpoint, worker_metrics(registry))):
        await trio.sleep(1)
        last, interval = (registry.get_sample_value(name, {"worker": "w"}) for name in names)
        assert last is not None
        assert (last > 0, interval) == (True, 10)
    assert [registry.get_sample_value(name, {"worker": "w"}) for name in names] == [None, None]


async def test_a_slow_round_delays_the_next_without_a_rush_afterwards(autojump_clock: trio.testing.MockClock) -> None:
    times: list[float] = []

    async def work() -> None:
        times.append(trio.current_time())
        await trio.sleep(25 if len(times) == 1 else 0)

    async with background(every(10, "w", work, worker_metrics(CollectorRegistry()))):
        await trio.sleep(50)
    assert [round(time - times[0]) for time in times] == [0, 25, 35, 45]


async def test_a_round_comes_sooner_when_the_bell_rings_and_the_next_counts_from_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    times: list[float] = []
    bell = Bell()

    async def work() -> None:
        times.append(trio.current_time())
        if len(times) == 2:
            bell.ring()  # during a round: the next comes at once
        await trio.sleep(1)

    async with background(every(10, "w", work, worker_metrics(CollectorRegistry()), bell)):
        await trio.sleep(4)
        bell.ring()
        await trio.sleep(12)
    assert [round(time - times[0]) for time in times] == [0, 4, 5, 15]
