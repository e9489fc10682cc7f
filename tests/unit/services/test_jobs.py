from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from acme_manager.errors import NotFound, NotLeader, OperationInProgress, StorageUnavailable
from acme_manager.services.jobs import Flight, Jobs

Work = Callable[[Flight[int]], Awaitable[int]]


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
    async with jobs.open(), trio.open_nursery() as nursery:

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
    async with jobs.open():
        jobs.start("k", "one", counted(1, [], go))
        with pytest.raises(OperationInProgress):
            await jobs.run("k", "other", counted(2, [], go))
        go.set()


async def test_a_caller_that_goes_away_does_not_end_the_flight() -> None:
    calls: list[int] = []
    go = trio.Event()
    jobs = Jobs()
    async with jobs.open():
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
    async with jobs.open():
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
    async with jobs.open():
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
        except NotLeader as error:
            answers.append(error)

    jobs = Jobs()
    async with trio.open_nursery() as nursery, jobs.open():
        nursery.start_soon(ask, lambda: jobs.run("k", "s", counted(1, [], trio.Event())))
        await trio.testing.wait_all_tasks_blocked()
    assert len(answers) == 1
    with pytest.raises(NotLeader):
        await jobs.run("k", "s", counted(1, [], trio.Event()))
