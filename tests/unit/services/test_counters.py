from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
import trio.testing

from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.ports import Step
from acme_manager.ring.alone import Alone
from acme_manager.services.counters import CREATED, RENEWED, REVOKED, Counters
from acme_manager.services.progress import Progress
from acme_manager.services.state import State
from acme_manager.structure import background
from tests.unit.services.world import ALICE, MovableClock, open_world, wish

ID = CertificateId("alice", "test", "example.com")
LABELS = ("test", "alice", "example.com", "")


@attrs.frozen
class _Node:
    counters: Counters
    state: State
    progress: Progress


@asynccontextmanager
async def _node(shared: Alone, clock: MovableClock | None = None) -> AsyncIterator[_Node]:
    state, progress = State(shared), Progress()
    counters = Counters(shared, state, progress, clock or MovableClock())
    with state.following():
        async with background(counters.run):
            await trio.testing.wait_all_tasks_blocked()
            yield _Node(counters, state, progress)


async def test_what_becomes_of_certificates_is_counted_from_the_first_to_the_last() -> None:
    async with open_world() as world, background(world.counters.run):
        await trio.testing.wait_all_tasks_blocked()
        await world.certificates.request(ALICE, wish())
        await world.certificates.delete(ID, revoke=True)
        await world.certificates.request(ALICE, wish(name="n"))
        await trio.testing.wait_all_tasks_blocked()
        assert world.counters.values()[CREATED, LABELS] == 1
    assert world.counters.values() == {
        (CREATED, LABELS): 1,
        (REVOKED, LABELS): 1,
        (CREATED, ("test", "alice", "example.com", "n")): 1,
    }


async def test_a_renewal_is_told_from_a_creation_by_its_number(autojump_clock: trio.testing.MockClock) -> None:
    async with _node(Alone()) as node:
        certificate = Certificate(owner="alice", issuer="test", domain="example.com")
        for count in (0, 1, 2):
            node.state.publish(attrs.evolve(certificate, renewal_count=count))
            node.progress.publish(ID, Step.STORED)
        await trio.sleep(2)
        assert node.counters.values() == {(CREATED, LABELS): 1, (RENEWED, LABELS): 2}


async def test_a_burst_costs_two_writes_for_each_certificate(autojump_clock: trio.testing.MockClock) -> None:
    shared = Alone()
    async with _node(shared) as node:
        for _ in range(50):
            node.counters.add(CREATED, ID)
            node.counters.add(REVOKED, ID)
            await trio.sleep(0.01)
        await trio.sleep(1)
        assert node.counters.values() == {(CREATED, LABELS): 50, (REVOKED, LABELS): 50}
        assert shared.statistics()["writes"] == 2


async def test_the_next_leader_goes_on_where_the_last_one_was_and_every_node_knows_it() -> None:
    shared = Alone()
    async with _node(shared) as first, _node(shared) as second:
        first.counters.add(CREATED, ID)
        await trio.testing.wait_all_tasks_blocked()
        second.counters.add(CREATED, ID)
        await trio.testing.wait_all_tasks_blocked()
        assert first.counters.values() == second.counters.values() == {(CREATED, LABELS): 2}


async def test_what_a_node_has_not_written_when_it_stops_leading_it_adds_when_it_leads_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    shared = Alone()
    async with _node(shared) as node:
        shared.leading = False
        node.counters.add(CREATED, ID)
        await trio.sleep(5)
        assert node.counters.values() == {}
        shared.leading = True
        await trio.sleep(2)
        assert node.counters.values() == {(CREATED, LABELS): 1}


async def test_what_was_added_last_is_written_at_the_stop() -> None:
    shared = Alone()
    async with _node(shared) as node:
        for _ in range(2):
            node.counters.add(CREATED, ID)
            await trio.testing.wait_all_tasks_blocked()
    async with _node(shared) as again:
        assert again.counters.values() == {(CREATED, LABELS): 2}


async def test_no_count_falls_when_a_leader_begins_below_its_predecessor() -> None:
    shared = Alone()
    async with _node(shared) as node:
        for text in ('"created":5', '"created":4,"revoked":1'):
            shared.put("counter/x", f'{{"of":["test","alice","example.com",""],"at":1,{text}}}'.encode())
        assert node.counters.values() == {(CREATED, LABELS): 5, (REVOKED, LABELS): 1}


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"of":["a"],"at":1}', b'{"of":["a","b","c","d"],"at":"soon"}'])
async def test_a_count_that_can_not_be_read_is_left_out(value: bytes) -> None:
    shared = Alone()
    async with _node(shared) as node:
        shared.put("counter/x", value)
        assert node.counters.values() == {}


async def test_counts_outlive_their_certificate_by_a_week() -> None:
    shared, clock = Alone(), MovableClock(datetime(2026, 1, 1, tzinfo=UTC))
    async with _node(shared, clock) as node:
        node.state.publish(Certificate(owner="alice", name="kept"))
        for id in (ID, CertificateId("alice", "test", "example.com", "kept")):
            node.counters.add(CREATED, id)
        await trio.testing.wait_all_tasks_blocked()
        clock.at += timedelta(days=6)
        node.counters.forget_gone()
        assert len(node.counters.values()) == 2
        clock.at += timedelta(days=2)
        node.counters.forget_gone()
        assert list(node.counters.values()) == [(CREATED, ("test", "alice", "example.com", "kept"))]
