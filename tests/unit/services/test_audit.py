from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs
import pytest
import structlog.testing
import trio
import trio.testing
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from acme_manager.domain.audit import Entry, Query
from acme_manager.domain.gotime import milliseconds
from acme_manager.errors import InvalidRequest, StorageUnavailable
from acme_manager.ring.alone import Alone
from acme_manager.services.audit import Audit
from acme_manager.storage.memory import MemoryStorage
from acme_manager.structure import background
from tests.unit.services.world import MovableClock, audit_on

FOLDER = "certificates/.acme-manager/audit"


class _Storage(MemoryStorage):
    """Counts what is read, and can lose power before the head is written."""

    reads = 0
    headless = False

    async def get(self, key: str, version: int | None = None) -> Any:
        self.reads += 1
        return await super().get(key, version)

    async def put(self, key: str, value: Mapping[str, Any], *, expected: int) -> int:
        if self.headless and key.endswith("/head"):
            raise StorageUnavailable("power is out")
        return await super().put(key, value, expected=expected)


@attrs.frozen(kw_only=True)
class _Node:
    """A node with a map, which may be that of another one, and the storage of all."""

    cluster: Alone
    storage: _Storage
    clock: MovableClock
    audit: Audit
    registry: CollectorRegistry

    def does(self, object: str, **facts: Any) -> None:
        self.audit.note(**{"actor": "API key", "action": "token.create", "status": 201, "object": object, **facts})

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"acme_manager_audit_{name}", labels)

    async def shown(self, query: Query | None = None, limit: int = 1000) -> list[str]:
        found = await self.audit.search(query or Query(), limit=limit)
        assert found.complete
        return [one.object for one in found.entries]

    async def stored(self) -> list[str]:
        """The objects of all entries in storage, the oldest first."""
        records = [
            (await self.storage.get(key)).value for key in await self.storage.list(FOLDER) if key != f"{FOLDER}/head"
        ]
        return [one.get("object", "") for record in records for one in (record or {})["entries"]]

    async def whole(self) -> bool:
        return not (await self.audit.verify()).breaks


@asynccontextmanager
async def node(cluster: Alone | None = None, storage: _Storage | None = None) -> AsyncIterator[_Node]:
    clock, cluster, registry = MovableClock(), cluster or Alone(), CollectorRegistry()
    storage = storage or _Storage(clock)
    audit = audit_on(cluster, storage, clock, registry)
    with audit.following():
        yield _Node(cluster=cluster, storage=storage, clock=clock, audit=audit, registry=registry)


@asynccontextmanager
async def leader(cluster: Alone | None = None, storage: _Storage | None = None) -> AsyncIterator[_Node]:
    async with node(cluster, storage) as one, background(lambda: one.audit(1)):
        await trio.testing.wait_all_tasks_blocked()
        yield one


def copy_of(cluster: Alone, *without: str) -> Alone:
    """The map as another node has it, who has not heard of some of its keys."""
    copy = Alone("other")
    for key, value in cluster.items(""):
        if key not in without:
            copy.put(key, value)
    return copy


async def test_what_is_noted_is_seen_at_once_logged_and_stored_within_seconds(autojump_clock: MockClock) -> None:
    async with leader() as it:
        with structlog.testing.capture_logs() as logged:
            it.does("one", request_id="r1", source="192.0.2.1")
        assert await it.shown() == ["one"]
        (line,) = [line for line in logged if line["event"] == "audit"]
        assert (line["action"], line["object"], line["request_id"]) == ("token.create", "one", "r1")
        await trio.testing.wait_all_tasks_blocked()
        assert await it.stored() == ["one"], "the first of a burst does not wait"
        it.does("two")
        it.does("three")
        assert (it.metric("entries_waiting"), await it.stored()) == (2, ["one"])
        await trio.sleep(5)
        assert await it.stored() == ["one", "two", "three"]
        assert it.metric("entries_waiting") == it.metric("entries_lost_total") == 0
        assert it.metric("entries_total", action="token.create") == 3
        assert len(await it.storage.list(FOLDER)) == 3, "two that come together lie together"
        assert await it.whole()


async def test_while_storage_is_away_the_map_keeps_what_waits(autojump_clock: MockClock) -> None:
    async with leader() as it:
        it.does("before")
        await trio.sleep(5)
        it.storage.down = StorageUnavailable("sealed")
        with structlog.testing.capture_logs() as logged:
            it.does("meanwhile")
            await trio.sleep(60)
        assert any("audit log not stored" in line["event"] and line["error"] == "sealed" for line in logged)
        assert (it.metric("store_failures_total") or 0) >= 2
        assert it.metric("entries_waiting") == 1
        assert await it.shown() == ["meanwhile", "before"]
        it.storage.down = None
        await trio.sleep(60)
        assert await it.stored() == ["before", "meanwhile"]


async def test_beyond_a_thousand_that_wait_the_oldest_makes_room_and_is_told_of(autojump_clock: MockClock) -> None:
    async with leader() as it:
        it.storage.down = StorageUnavailable("sealed")
        with structlog.testing.capture_logs() as logged:
            for number in range(1002):
                it.does(f"{number}")
        assert it.metric("entries_lost_total") == 2
        assert [line["object"] for line in logged if "makes room" in line["event"]] == ["0", "1"]
        it.storage.down = None
        await trio.sleep(60)
        assert await it.stored() == [f"{number}" for number in range(2, 1002)]


async def test_the_next_leader_stores_what_the_last_one_has_not(autojump_clock: MockClock) -> None:
    storage = _Storage(MovableClock())
    async with leader(storage=storage) as first:
        first.does("stored")
        await trio.sleep(5)
        storage.down = StorageUnavailable("sealed")
        first.does("left")
        first.cluster.leading = False
        other = copy_of(first.cluster)
    storage.down = None
    async with leader(other, storage) as second:
        await trio.sleep(5)
        assert await second.stored() == ["stored", "left"]
        assert await second.whole()


async def test_what_the_last_leader_has_stored_without_saying_so_is_not_stored_twice(autojump_clock: MockClock) -> None:
    async with leader() as first:
        first.does("one")
        await trio.sleep(5)
        first.does("two")
        await trio.sleep(5)
        first.cluster.leading = False
    async with leader(copy_of(first.cluster, "audit/stored"), first.storage) as second:
        second.does("three")
        await trio.sleep(5)
        assert await second.stored() == ["one", "two", "three"]
        assert await second.shown() == ["three", "two", "one"]


async def test_two_leaders_that_gave_the_same_number_lose_no_entry(autojump_clock: MockClock) -> None:
    async with leader() as first:
        for name in ("one", "two"):
            first.does(name)
            await trio.sleep(5)
        first.cluster.leading = False
    # The other has not heard of the second entry, and can't ask storage when it notes its own.
    other = copy_of(first.cluster, "audit/002", "audit/stored")
    async with node(other, first.storage) as second:
        second.does("three")
        second.does("four")
        async with background(lambda: second.audit(2)):
            await trio.sleep(10)
        assert await second.stored() == ["one", "two", "four", "three"]
        assert await second.shown() == ["three", "four", "two", "one"]
        assert await second.whole()


async def test_a_segment_that_was_written_without_the_head_counts(autojump_clock: MockClock) -> None:
    async with leader() as first:
        first.does("one")
        await trio.sleep(5)
        first.storage.headless = True
        first.does("two")
        await trio.sleep(5)
        first.cluster.leading = False
    first.storage.headless = False
    async with leader(copy_of(first.cluster), first.storage) as second:
        await trio.sleep(5)
        second.does("three")
        await trio.sleep(5)
        assert await second.stored() == ["one", "two", "three"]
        assert await second.whole()


async def test_after_all_nodes_were_stopped_the_log_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    async with leader() as first:
        for name in ("one", "two"):
            first.does(name)
            await trio.sleep(5)
    async with leader(storage=first.storage) as again:
        again.does("three")
        await trio.sleep(5)
        assert await again.stored() == ["one", "two", "three"]
        again.storage.down = StorageUnavailable("sealed")
        assert await again.shown() == ["three", "two", "one"], "the map shows also what was there before"


async def test_a_leader_that_stops_stores_what_waits(autojump_clock: MockClock) -> None:
    async with leader() as it:
        it.does("one")
        await trio.testing.wait_all_tasks_blocked()
        it.does("two")
    assert await it.stored() == ["one", "two"]


async def test_a_flood_of_refusals_makes_one_entry_a_minute_for_each_source(autojump_clock: MockClock) -> None:
    async with leader() as it:
        for number in range(1000):
            for source in ("192.0.2.1", "192.0.2.2"):
                it.does("", actor="", status=401, source=source, request_id=f"{number}")
        it.does("done")
        assert len(await it.shown()) == 3
        it.clock.at += timedelta(minutes=1)
        await trio.sleep(30)
        found = await it.audit.search(Query(action="token.create"), limit=10)
        assert sorted((one.source, one.count) for one in found.entries if one.status == 401) == [
            ("192.0.2.1", 1),
            ("192.0.2.1", 999),
            ("192.0.2.2", 1),
            ("192.0.2.2", 999),
        ]
        assert it.metric("entries_total", action="token.create") == 2001
        for number in range(5000):
            it.does("", actor="", status=401, source=f"2001:db8::{number:x}")
        assert len(await it.shown()) <= 5 + 501, "many sources are no way round that"


async def test_a_node_that_does_not_lead_logs_and_keeps_nothing(autojump_clock: MockClock) -> None:
    async with node() as it:
        it.cluster.leading = False
        with structlog.testing.capture_logs() as logged:
            it.does("one")
            it.audit.note_own("config.reload", "config.yml")
        assert [line["object"] for line in logged] == ["one"]
        it.cluster.leading = True
        assert await it.shown() == []


async def test_a_leader_that_lost_its_lease_a_moment_ago_keeps_what_it_has_just_done(autojump_clock: MockClock) -> None:
    async with node() as it:
        async with background(lambda: it.audit(1)):
            await trio.testing.wait_all_tasks_blocked()
            it.cluster.leading = False
        it.does("late")
        assert it.metric("entries_waiting") == 1
        it.cluster.leading = True
        async with background(lambda: it.audit(3)):
            await trio.sleep(5)
        assert await it.stored() == ["late"]


@asynccontextmanager
async def long_log() -> AsyncIterator[_Node]:
    """3000 entries, ten in a segment, the newest thousand of them in the map; those of `n % 7` have one owner."""
    async with leader() as it:
        for number in range(3000):
            if number % 10 == 0:
                await trio.sleep(20)
                it.clock.at += timedelta(minutes=10)
            it.does(f"{number}", owner=f"o{number % 7}")
        await trio.sleep(20)
        yield it


async def test_pages_lead_from_the_map_back_through_storage_without_gap_or_repetition(
    autojump_clock: MockClock,
) -> None:
    async with long_log() as it:
        seen, cursor, pages = list[Entry](), "", 0
        while True:
            found = await it.audit.search(Query(owner="o3"), limit=100, before=cursor)
            seen += found.entries
            cursor, pages = found.cursor, pages + 1
            assert len(found.entries) <= 100
            if found.complete:
                break
        wanted = [f"{number}" for number in range(3000) if number % 7 == 3]
        assert [one.object for one in reversed(seen)] == wanted
        assert pages >= 5

        it.storage.reads = 0
        found = await it.audit.search(Query(object="nowhere"), limit=100)
        assert (found.entries, found.complete) == ([], False)
        assert it.storage.reads < 160, "one search reads a bounded part of storage"
        assert found.back_to > 0
        while not found.complete:
            before = found.back_to
            found = await it.audit.search(Query(object="nowhere"), limit=100, before=found.cursor)
            assert found.back_to < before

        at = milliseconds(it.clock.at - timedelta(minutes=10 * 250))
        it.storage.reads = 0
        span = Query(since=at, until=at + 600_000)
        found = await it.audit.search(span, limit=100)
        assert 10 <= len(found.entries) <= 20
        assert found.complete
        assert it.storage.reads < 80, "a span of long ago is found without reading all that came after it"

        it.storage.down = StorageUnavailable("sealed")
        found = await it.audit.search(Query(owner="o3"), limit=1000)
        assert (len(found.entries), found.complete, found.trouble) == (143, False, "sealed")
        it.storage.down = None
        rest = await it.audit.search(Query(owner="o3"), limit=1000, before=found.cursor)
        assert rest.entries[0].number < found.entries[-1].number
        for cursor in ("x", "1", "-1.5", "1.2.3"):
            with pytest.raises(InvalidRequest, match="cursor"):
                await it.audit.search(Query(), limit=1, before=cursor)


async def test_a_change_in_storage_shows(autojump_clock: MockClock) -> None:
    async with leader() as it:
        for name in ("one", "two", "three", "four"):
            it.does(name)
            await trio.sleep(5)
        verdict = await it.audit.verify()
        assert (verdict.first, verdict.last, verdict.segments, verdict.entries, verdict.next) == (1, 4, 4, 4, 0)
        part = await it.audit.verify(1, 2)
        assert (part.segments, part.next, part.breaks) == (2, 3, ())
        assert (await it.audit.verify(3)).breaks == ()

        key = f"{FOLDER}/000000/000000002"
        kept = (await it.storage.get(key)).value
        assert kept is not None
        await it.storage.put(key, {**kept, "entries": [{**kept["entries"][0], "object": "x"}]}, expected=1)
        assert [one.segment for one in (await it.audit.verify()).breaks] == [3]
        assert [one.segment for one in (await it.audit.verify(3)).breaks] == [3], "also where a look begins in between"
        await it.storage.purge(key)
        assert [one.segment for one in (await it.audit.verify()).breaks] == [2]
        await it.storage.purge(f"{FOLDER}/000000/000000004")
        assert [one.segment for one in (await it.audit.verify()).breaks] == [2, 4]
        assert await it.stored() == ["one", "three"]
        it.does("five")
        await trio.sleep(5)
        assert (await it.stored())[-1] == "five", "a broken chain stops nobody"


async def test_old_segments_are_removed_and_what_is_left_is_a_whole_chain(autojump_clock: MockClock) -> None:
    async with leader() as it:
        for name in ("one", "two", "three", "four"):
            it.does(name)
            await trio.sleep(5)
            it.clock.at += timedelta(days=150)
        await it.audit.forget_old()
        assert await it.stored() == ["three", "four"]
        assert await it.whole()
        assert (await it.audit.verify()).first == 3
        it.cluster.leading = False
        it.clock.at += timedelta(days=4000)
        await it.audit.forget_old()
        it.cluster.leading = True
        assert await it.stored() == ["three", "four"], "the leader alone removes"
        await it.audit.forget_old()
        assert await it.stored() == ["four"], "the last one stays: the next is written after it"
        it.does("five")
        await trio.sleep(5)
        assert await it.whole()
        await it.storage.purge(f"{FOLDER}/000000/000000004")
        assert [one.segment for one in (await it.audit.verify()).breaks] == [4], "who else removes one is noticed"


@pytest.mark.parametrize("head", [None, {"first": "x"}])
async def test_without_a_head_the_segments_are_listed(head: dict[str, Any] | None, autojump_clock: MockClock) -> None:
    async with leader() as it:
        for name in ("one", "two"):
            it.does(name)
            await trio.sleep(5)
        if head is None:
            await it.storage.purge(f"{FOLDER}/head")
        else:
            await it.storage.put(f"{FOLDER}/head", head, expected=2)
        it.does("three")
        await trio.sleep(5)
        assert await it.stored() == ["one", "two", "three"]
        assert await it.whole()
