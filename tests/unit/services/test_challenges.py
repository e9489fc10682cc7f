"""http-01 answers on nodes that do not lead: the CA may be quicker than the ring."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from acme_manager.errors import ChallengeNotFound
from acme_manager.ring.alone import Alone
from acme_manager.services.challenges import HttpChallenges

TRACE = {"token": "tok", "answer": "tok.thumb"}


async def test_an_answer_that_is_on_its_way_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    shared = Alone()
    leader, follower = HttpChallenges(shared, lambda: True), HttpChallenges(shared, lambda: False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(expect, follower, "tok.thumb"))
        await trio.sleep(1)
        async with leader.presented([{"token": "tok2", "answer": "another"}]):
            await trio.sleep(0.5)
            async with leader.presented([TRACE]):
                await trio.testing.wait_all_tasks_blocked()


async def test_an_answer_that_nobody_has_is_not_waited_for_long(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    with pytest.raises(ChallengeNotFound):
        await HttpChallenges(Alone(), lambda: False).answer("tok")
    assert trio.current_time() - began == pytest.approx(2)


async def test_the_leader_knows_at_once_what_there_is_not(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    with pytest.raises(ChallengeNotFound):
        await HttpChallenges(Alone(), lambda: True).answer("tok")
    assert trio.current_time() == began


async def test_whoever_tries_many_tokens_out_is_soon_answered_at_once(autojump_clock: trio.testing.MockClock) -> None:
    follower = HttpChallenges(Alone(), lambda: False)

    async def ask() -> None:
        with pytest.raises(ChallengeNotFound):
            await follower.answer("tok")

    async with trio.open_nursery() as nursery:
        for _ in range(64):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        await ask()
        assert trio.current_time() == began


async def expect(challenges: HttpChallenges, answer: str) -> None:
    assert await challenges.answer("tok") == answer
