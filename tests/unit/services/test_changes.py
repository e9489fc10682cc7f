from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.digest import digest_of
from acme_manager.domain.gotime import format_time
from acme_manager.domain.token import Token
from acme_manager.ring.alone import Alone
from acme_manager.services.changes import Changes
from acme_manager.services.state import State
from tests.unit.services.world import NOW, FixedClock

ALICE = Token(id="t1", token_hash="x", username="alice", scope=())
NOTHING = digest_of([])


def certificate(domain: str = "a.example", owner: str = "alice", **facts: Any) -> Certificate:
    return Certificate(domain=domain, issuer="le", owner=owner, **{"fingerprint": "f", "updated_at": 1, **facts})


@attrs.frozen
class Node:
    state: State
    changes: Changes

    def keep(self, *certificates: Certificate) -> None:
        for one in certificates:
            self.state.certificates.put(one.id.key, one)

    async def waits(self, answers: list[str], seconds: float = 60, *, caller: Token = ALICE) -> None:
        known = self.changes.digest(caller.username)
        answers.append(await self.changes.wait(caller, known, seconds))


@pytest.fixture
def node() -> Iterator[Node]:
    state = State(Alone())
    state.tokens.put(ALICE.id, ALICE)
    changes = Changes(state, FixedClock())
    with changes.following():
        yield Node(state, changes)


def test_the_digest_is_that_of_the_owners_certificates_whatever_happened_before(node: Node) -> None:
    a, b, other = certificate(), certificate("b.example"), certificate(owner="alice2")
    node.keep(a, b, other)
    assert node.changes.digest("alice") == digest_of([b, a])
    node.keep(renewed := attrs.evolve(a, fingerprint="g"))
    assert node.changes.digest("alice") == digest_of([renewed, b])
    assert list(node.changes.listing("alice")) == [renewed, b]
    node.state.certificates.remove(a.id.key)
    node.state.certificates.remove(b.id.key)
    assert node.changes.digest("alice") == NOTHING
    assert node.changes.listing("alice") == ()
    assert node.changes.digest("alice2") == digest_of([other])


def test_what_was_there_before_counts() -> None:
    state = State(Alone())
    state.certificates.put("alice/le/a.example", certificate())
    changes = Changes(state, FixedClock())
    with changes.following():
        assert changes.digest("alice") == digest_of([certificate()])


async def test_who_knows_something_else_is_answered_at_once(node: Node, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    assert await node.changes.wait(ALICE, "", 60) == await node.changes.wait(ALICE, "of long ago", 60) == NOTHING
    assert trio.current_time() == began


async def test_nothing_happens_for_as_long_as_was_asked(node: Node, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    assert await node.changes.wait(ALICE, NOTHING, 60) == NOTHING
    assert trio.current_time() == began + 60


async def test_a_change_wakes_all_who_wait_for_its_owner_and_nobody_else(node: Node, autojump_clock: MockClock) -> None:
    alices: list[str] = []
    bobs: list[str] = []
    bob = attrs.evolve(ALICE, id="t2", username="bob")
    async with trio.open_nursery() as nursery:
        for _ in range(2000):
            nursery.start_soon(node.waits, alices)
        nursery.start_soon(partial(node.waits, bobs, caller=bob))
        await wait_all_tasks_blocked()
        node.keep(certificate())
        await wait_all_tasks_blocked()
        assert alices == [digest_of([certificate()])] * 2000
        assert bobs == []
        node.keep(certificate())  # the same again, as a sync brings it
        nursery.cancel_scope.cancel(reason="seen")


@pytest.mark.parametrize("change", ["revoked", "replaced"])
async def test_a_token_that_is_not_what_it_was_ends_the_wait(
    node: Node, change: str, autojump_clock: MockClock
) -> None:
    answers: list[str] = []
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.waits, answers)
        await wait_all_tasks_blocked()
        if change == "revoked":
            node.state.tokens.remove(ALICE.id)
        else:
            node.state.tokens.put(ALICE.id, attrs.evolve(ALICE, token_hash="y"))
    assert answers == [NOTHING]
    assert trio.current_time() == began


async def test_a_token_that_expires_ends_the_wait(node: Node, autojump_clock: MockClock) -> None:
    soon = attrs.evolve(ALICE, expires=format_time(NOW + timedelta(seconds=7)))
    began = trio.current_time()
    await node.changes.wait(soon, NOTHING, 60)
    assert trio.current_time() == began + 7


async def test_a_stop_ends_all_waits_and_lets_no_more_begin(node: Node, autojump_clock: MockClock) -> None:
    answers: list[str] = []
    stopping, began = trio.Event(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.changes.close_when, stopping)
        for _ in range(50):
            nursery.start_soon(node.waits, answers)
        await wait_all_tasks_blocked()
        stopping.set()
    await node.waits(answers)
    assert answers == [NOTHING] * 51
    assert trio.current_time() == began


async def test_who_gives_up_leaves_nothing_behind(node: Node, autojump_clock: MockClock) -> None:
    with trio.move_on_after(1):
        await node.changes.wait(ALICE, NOTHING, 60)
    assert not node.changes._waiters
