from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from acme_manager.errors import NotFound, NotLeader, OperationInProgress, OutcomeUnknown, StorageUnavailable
from acme_manager.services.jobs import Flight, Jobs

Work = Callable[[Flight[int]], Awaitable[int]]


@asynccontextmanager
async def taking_orders(jobs: Jobs) -> AsyncIterator[None]:
    async with jobs.open():
        jobs.admit()
        yield


def counted(result: int, calls: list[int], go: trio.Event) -> Work:
    async def work(_flight: Flight[int]) -> int:
        calls.append(result)
        await go.wait()
        return result

    return work


async def test_whoever_asks_for_the_same_joins_the_flight() -> None:
    calls: list[int] = []
    go, results = trio.Event(), []
    jobs = Jobs()
    async with taking_orders(jobs), trio.open_nursery() as nursery:

        async def ask() -> None:
            results.append(await jobs.run("k", "same", counted(7, calls, go)))

        for _ in range(5):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    assert results == [7] * 5
    assert calls == [7]


async def test_whoever_asks_for_something_else_is_refused() -> None:
    go = trio.Event()
    jobs = Jobs()
    async with taking_orders(jobs):
        jobs.start("k", "one", counted(1, [], go))
        with pytest.raises(OperationInProgress):
            await jobs.run("k", "other", counted(2, [], go))
        go.set()


async def test_a_caller_that_goes_away_does_not_end_the_flight() -> None:
    calls: list[int] = []
    go = trio.Event()
    jobs = Jobs()
    async with taking_orders(jobs):
        with trio.move_on_after(0):
            await jobs.run("k", "s", counted(3, calls, go))
        await trio.testing.wait_all_tasks_blocked()
        assert jobs.running() == ["k"]
        go.set()
        assert await jobs.run("k", "s", counted(4, calls, go)) == 3
        assert jobs.running() == []


@pytest.mark.parametrize("error", [NotFound("gone"), RuntimeError("a bug")])
async def test_an_error_reaches_every_waiter_and_no_one_else(error: Exception) -> None:
    async def work(_flight: Flight[int]) -> int:
        raise error

    jobs = Jobs()
    async with taking_orders(jobs):
        with pytest.raises(type(error)):
            await jobs.run("k", "s", work)
        go = trio.Event()
        go.set()
        assert await jobs.run("k", "s", counted(1, [], go)) == 1


async def test_waiters_may_be_answered_while_the_work_goes_on() -> None:
    go, done = trio.Event(), trio.Event()

    async def work(flight: Flight[int]) -> int:
        flight.give_up_waiting(StorageUnavailable("later"))
        await go.wait()
        done.set()
        return 1

    jobs = Jobs()
    async with taking_orders(jobs):
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await jobs.run("k", "s", work)
        assert jobs.running() == ["k"]
        go.set()
        await done.wait()


async def test_the_end_cancels_what_flies_and_tells_who_waits() -> None:
    answers: list[object] = []

    async def ask(jobs_run: Callable[[], Awaitable[int]]) -> None:
        try:
            await jobs_run()
        except OutcomeUnknown as error:
            answers.append(error)

    jobs = Jobs()
    async with trio.open_nursery() as nursery, taking_orders(jobs):
        nursery.start_soon(ask, lambda: jobs.run("k", "s", counted(1, [], trio.Event())))
        await trio.testing.wait_all_tasks_blocked()
    assert len(answers) == 1
    with pytest.raises(NotLeader):
        await jobs.run("k", "s", counted(1, [], trio.Event()))


async def test_requests_wait_until_what_is_unfinished_is_known_and_join_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    calls: list[int] = []
    go, results = trio.Event(), []
    go.set()
    jobs = Jobs()

    async def ask() -> None:
        results.append(await jobs.run("k", "same", counted(2, calls, go)))

    async with trio.open_nursery() as nursery, jobs.open():
        nursery.start_soon(ask)
        await trio.sleep(1)
        assert calls == []
        jobs.start("k", "same", counted(1, calls, go))
        jobs.admit()
        await trio.testing.wait_all_tasks_blocked()
    assert results == [1]


async def test_requests_do_not_wait_for_ever_for_what_is_unfinished(autojump_clock: trio.testing.MockClock) -> None:
    jobs = Jobs()
    async with jobs.open():
        with trio.fail_after(6), pytest.raises(StorageUnavailable):
            await jobs.run("k", "s", counted(1, [], trio.Event()))


async def test_requests_that_wait_learn_that_the_node_does_not_lead_any_more() -> None:
    answers: list[object] = []
    jobs = Jobs()

    async def ask() -> None:
        try:
            await jobs.run("k", "s", counted(1, [], trio.Event()))
        except NotLeader as error:
            answers.append(error)

    async with trio.open_nursery() as nursery, jobs.open():
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
    assert len(answers) == 1
