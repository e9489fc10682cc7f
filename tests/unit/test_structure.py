from __future__ import annotations

import pytest
import trio
import trio.testing

from acme_manager.structure import background, leaves, lone_error, together


async def test_a_single_failure_leaves_a_nursery_as_itself_and_keeps_its_cause() -> None:
    async def fail() -> None:
        raise KeyError("inside") from ValueError("cause")

    async def fail_in_a_nursery() -> None:
        with lone_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                nursery.start_soon(trio.sleep_forever)

    with pytest.raises(KeyError) as caught:
        await fail_in_a_nursery()
    assert isinstance(caught.value.__cause__, ValueError)


async def test_several_failures_stay_a_group() -> None:
    async def fail() -> None:
        raise KeyError

    with pytest.RaisesGroup(KeyError, KeyError), lone_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(fail)


def test_the_leaves_of_a_group_of_any_depth_are_found() -> None:
    inner = ExceptionGroup("inner", [KeyError(), ValueError()])
    assert [type(leaf) for leaf in leaves(ExceptionGroup("outer", [inner, OSError()]))] == [
        KeyError,
        ValueError,
        OSError,
    ]


async def test_service_loops_end_with_their_block() -> None:
    ended = False

    async def loop() -> None:
        nonlocal ended
        try:
            await trio.sleep_forever()
        finally:
            ended = True

    async with background(loop):
        await trio.testing.wait_all_tasks_blocked()
    assert ended


async def test_a_loop_that_crashes_ends_the_block() -> None:
    async def crash() -> None:
        raise OSError("the socket is gone")

    with pytest.raises(OSError, match="the socket is gone"):
        async with background(crash):
            await trio.sleep_forever()


async def test_results_of_many_come_in_the_order_of_the_items(autojump_clock: trio.testing.MockClock) -> None:
    running, most = 0, 0

    async def late(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(10 - number)
        running -= 1
        return number * 2

    assert await together(late, range(10), at_once=3) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert most == 3
    assert await together(late, []) == []


async def test_the_first_of_many_that_fails_ends_the_others() -> None:
    async def work(number: int) -> None:
        if number == 1:
            raise LookupError("one")
        await trio.sleep_forever()

    with trio.fail_after(5), pytest.raises(LookupError, match="one"):
        await together(work, range(3))
