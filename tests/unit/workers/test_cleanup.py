from __future__ import annotations

from datetime import timedelta

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry

from acme_manager.domain.gotime import milliseconds
from acme_manager.structure import background
from acme_manager.workers.cleanup import CleanupWorker
from tests.unit.services.cleaning import WEB, open_cleaning, put, secret
from tests.unit.services.world import worker_metrics


async def test_a_leader_waits_a_while_and_then_cleans_up_each_interval(autojump_clock: trio.testing.MockClock) -> None:
    async with open_cleaning() as it:
        await put(it.storage, WEB, secret(5), secret(60))
        worker = CleanupWorker(cleanup=it.cleanup, interval=3600, metrics=worker_metrics(CollectorRegistry()))
        async with background(lambda: worker(1)):
            await trio.sleep(59)
            assert it.revoked == []
            await trio.sleep(2)
            assert (len(it.revoked), await it.destroyed()) == (1, [])
            await trio.sleep(3600)
            assert await it.destroyed() == [1]


@pytest.mark.parametrize(
    ("ago", "waits"),
    [
        (timedelta(minutes=10), 3000),
        (timedelta(minutes=59, seconds=50), 60),
        (timedelta(hours=5), 60),
        (-timedelta(days=9), 3600),  # a clock that was set back
    ],
)
async def test_a_new_leader_keeps_to_the_pace_of_the_last_one(ago: timedelta, waits: float) -> None:
    async with open_cleaning() as it:
        worker = CleanupWorker(cleanup=it.cleanup, interval=3600, metrics=worker_metrics(CollectorRegistry()))
        it.cleanup.notes.begin(milliseconds(it.clock.at - ago))
        assert worker.wait() == waits
