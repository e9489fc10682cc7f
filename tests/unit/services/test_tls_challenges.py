"""tls-alpn-01 answers: a CA asks by name, so one order for a name is validated after the other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from acme_manager.errors import ChallengeFailed, ChallengeNotFound
from acme_manager.ports import Trace
from acme_manager.ring.alone import Alone
from acme_manager.services.tls_challenges import TlsChallenges


def trace(name: str, answer: str) -> Trace:
    return {"type": "tls-alpn-01", "name": name, "answer": answer}


async def test_orders_for_one_name_take_turns_and_none_waits_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    tls, seen = TlsChallenges(shared := Alone(), lambda: True), []

    async def order(name: str, *names: str) -> None:
        async with tls.presented([trace(one, name) for one in names]):
            await trio.sleep(1)
            seen.append(
                {value.decode() for _, value in shared.items("tls-alpn/")} >= {f"{one} {name}" for one in names}
            )

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(order, "first", "a.test", "b.test")
            nursery.start_soon(order, "second", "b.test", "a.test")
            nursery.start_soon(order, "third", "b.test", "c.test")
            nursery.start_soon(order, "fourth", "d.test")
    assert seen == [True] * 4
    assert list(shared.items("")) == []
    assert not tls._turns  # nothing grows with the names that were ever proved


async def test_what_another_order_has_put_there_since_stays() -> None:
    tls = TlsChallenges(shared := Alone(), lambda: True)
    async with tls.presented([trace("a.test", "new")]):
        await tls.remove([trace("a.test", "old")])
        assert [value for _, value in shared.items("")] == [b"a.test new"]


@pytest.mark.parametrize(
    "others", [[{"token": "t", "answer": "a"}], [{"type": "http-01", "store": "s3", "token": "t"}]]
)
async def test_what_was_presented_in_another_way_is_told(others: Sequence[Trace]) -> None:
    tls = TlsChallenges(shared := Alone(), lambda: True)
    async with tls.presented([trace("a.test", "a")]):
        with pytest.raises(ChallengeFailed, match="presented in another way"):
            await tls.remove([*others, trace("a.test", "a")])
        assert list(shared.items("")) == []


async def test_an_answer_on_its_way_to_a_follower_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    shared = Alone()
    leader, follower = TlsChallenges(shared, lambda: True), TlsChallenges(shared, lambda: False)
    shown: list[bytes] = []

    async def ask() -> None:
        shown.append(await follower.certificate("A.test"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(1)
        async with leader.presented([trace("a.test", "a.thumbprint")]):
            await trio.testing.wait_all_tasks_blocked()
    assert shown[0].count(b"BEGIN") == 2
    with pytest.raises(ChallengeNotFound):
        await leader.certificate("a.test")
