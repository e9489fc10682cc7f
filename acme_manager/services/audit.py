"""Who did what: the leader notes it in the shared map at once, and moves it to storage within seconds.

Every node shows the newest thousand entries from its copy of the map, also while storage is away; older ones are read
from storage. The next leader stores what the last one has not.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry, Counter, Gauge

from acme_manager.domain.audit import SYSTEM, Entry, Query, Refusals, entry_from_json, entry_to_json
from acme_manager.domain.audit_chain import Head
from acme_manager.domain.gotime import milliseconds
from acme_manager.errors import AcmeManagerError, Unavailable
from acme_manager.metrics import PREFIX
from acme_manager.ports import Clock, Cluster, SharedMap
from acme_manager.services.audit_search import Found, search
from acme_manager.services.audit_segments import AuditSegments, Verdict
from acme_manager.structure import Bell

_log = structlog.get_logger(__name__)

_PREFIX = "audit/"  # followed by a slot: the entries' numbers modulo the number of slots
_STORED = _PREFIX + "stored"  # the number of the newest entry that is in storage
_SLOTS = 1000
_TOGETHER = 200  # entries in a segment at most
_REFILL = 100  # segments that fill the map at the first start of a cluster
_PAUSES = (3.0, 5.0, 15.0, 30.0)  # seconds between two writes to storage: when all is well, and after failures in a row
_TICK = 15.0  # seconds between two looks whether a minute of refusals is over
_AFTERWARDS = 60.0  # seconds for which a node that led keeps what it could not note: it may lead again
_PATIENCE = 30.0  # seconds for one turn
_LAST_CHANCE = 3.0  # seconds to store what waits when the node stops
_MOST_VERIFIED = 10_000  # segments in one look


@attrs.frozen
class AuditMetrics:
    """What is counted about the audit log, where it happens."""

    noted: Counter  # action
    lost: Counter
    failures: Counter
    waiting: Gauge

    @classmethod
    def on(cls, registry: CollectorRegistry) -> AuditMetrics:
        """Register them."""
        name = f"{PREFIX}_audit"
        return cls(
            Counter(f"{name}_entries", "Entries of the audit log noted", ["action"], registry=registry),
            Counter(f"{name}_entries_lost", "Entries that made room before they were stored", registry=registry),
            Counter(f"{name}_store_failures", "Failures to store entries of the audit log", registry=registry),
            Gauge(f"{name}_entries_waiting", "Entries that are not in storage yet", registry=registry),
        )


class Audit:
    """Written by the node that leads, read by all. `following` has to be entered; a leader has to run it, too."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        shared: SharedMap,
        segments: AuditSegments,
        clock: Clock,
        metrics: AuditMetrics,
        keep: float,
    ) -> None:
        self._cluster, self._shared, self._segments, self._clock = cluster, shared, segments, clock
        self._metrics, self._keep = metrics, timedelta(seconds=keep)
        self._refusals = Refusals()
        self._queue: deque[Entry] = deque()  # not in the map yet
        self._slots: dict[str, Entry] = {}  # by key of the map
        self._newest: int | None = None  # its number; None until that is known
        self._stored = 0
        self._bell = Bell()
        self._writing = trio.Lock()
        self._left = -math.inf  # trio.current_time() when it last stopped leading
        metrics.waiting.set_function(lambda: len(self._queue) + len(self._waiting()))

    @contextmanager
    def following(self) -> Iterator[None]:
        """Keep up with the shared map for the length of a block."""
        with self._shared.watch(_PREFIX, self._changed):
            yield

    def note(self, **facts: Any) -> None:
        """Note that somebody has done something, now: the fields of an Entry. It never raises.

        What was tried in vain again and again is counted, and noted once a minute.
        """
        entry = Entry(at=milliseconds(self._clock.now()), node=self._cluster.name, **facts)
        if self._refusals.admits(entry):
            self._take(entry)

    def note_own(self, action: str, object: str, *, owner: str = "", words: str = "") -> None:
        """As the leader, note what this program has done by itself."""
        if self._cluster.leads():
            self.note(actor=SYSTEM, action=action, object=object, owner=owner, error=words)

    async def search(self, query: Query, *, limit: int, before: str = "") -> Found:
        """A page of what matches, the newest first; `before` is the cursor of the last page. Raises InvalidRequest.

        It looks back through a bounded part of storage only, so a page may be short, or empty, and not the last.
        """
        recent = sorted(self._slots.values(), key=lambda entry: (entry.number, entry.at), reverse=True)
        return await search(recent, self._segments, query, limit=limit, before=before)

    async def verify(self, begin: int = 1, most: int = _MOST_VERIFIED) -> Verdict:
        """Whether what is in storage is what was written there. Raises StorageUnavailable, StorageDenied."""
        return await self._segments.verify(begin, most)

    async def forget_old(self) -> None:
        """As the leader, remove from storage what is older than it is to be kept. Raises StorageUnavailable, …"""
        if self._cluster.leads():
            before = milliseconds(self._clock.now() - self._keep)
            async with self._writing:
                gone = await self._segments.purge(before)
            if gone:
                _log.info("old entries of the audit log removed", segments=gone)

    async def __call__(self, _term: int) -> None:
        """As the leader, store what waits, for as long as this node leads. Never returns."""
        failures = 0
        try:
            while True:
                stored = await self._tried()
                failures = failures + 1 if stored is None else 0
                if stored != 0:  # a burst is stored together, but for the first of it
                    await trio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                if stored is not None:
                    with trio.move_on_after(_TICK):
                        await self._bell.wait()
        finally:
            self._left = trio.current_time()
            with trio.move_on_after(_LAST_CHANCE, shield=True):
                if self._cluster.leads():  # the node stops
                    await self._tried()

    def _take(self, entry: Entry) -> None:
        _log.info("audit", **entry_to_json(entry))
        self._metrics.noted.labels(entry.action).inc(entry.count)
        if self._cluster.leads() or trio.current_time() < self._left + _AFTERWARDS:
            self._queue.append(entry)
            if len(self._queue) > _SLOTS:
                self._queue.popleft()
                self._metrics.lost.inc()
            self._publish()
            self._bell.ring()

    def _publish(self) -> None:
        """Put into the map what is not there yet, as far as that can be done now."""
        with suppress(Unavailable):
            while self._queue and self._newest is not None:
                entry = attrs.evolve(self._queue[0], number=self._newest + 1)
                there = self._slots.get(_slot(entry))
                self._put(entry)
                self._queue.popleft()
                if there is not None and there.number > self._stored:
                    self._metrics.lost.inc()
                    _log.error("entry of the audit log makes room before it is stored", **entry_to_json(there))

    async def _tried(self) -> int | None:
        """One turn: how many entries it has stored, None when it failed."""
        try:
            async with self._writing:
                return await self._turn()
        except (AcmeManagerError, trio.TooSlowError) as error:
            self._metrics.failures.inc()
            waiting = len(self._queue) + len(self._waiting())
            _log.error("audit log not stored, this is going to be tried again", error=str(error), waiting=waiting)
            return None

    async def _turn(self) -> int:
        for entry in self._refusals.due(milliseconds(self._clock.now())):
            self._take(entry)
        if self._newest is not None and not self._queue and not self._waiting():
            return 0
        done = 0
        with trio.fail_after(_PATIENCE):
            await self._cluster.confirm()
            head = await self._segments.head()
            await self._catch_up(head)
            self._publish()
            while waiting := self._waiting()[:_TOGETHER]:
                if head.entry >= waiting[0].number:  # an earlier leader has stored some of them, and did not say so
                    stored = await self._segments.newest(head, waiting[0].number)
                else:
                    head, stored = await self._segments.append(waiting)
                self._settle(waiting, stored, head.entry)
                done += len(stored)
        return done

    async def _catch_up(self, head: Head) -> None:
        """Know of what is in storage; at the first start of a cluster, have the map show the newest of that."""
        if not self._slots and head.entry:
            for entry in (await self._segments.newest(head, head.entry - _SLOTS, _REFILL))[-_SLOTS:]:
                self._put(entry)
            self._mark(head.entry)
        self._newest = max(self._newest or 0, head.entry)

    def _settle(self, waiting: Sequence[Entry], stored: Sequence[Entry], upto: int) -> None:
        """All numbers up to `upto` are in storage: an entry that has one of them and is not there gets a new one."""
        there = {entry.number: entry for entry in stored}
        for entry in waiting:
            if entry.number <= upto and there.get(entry.number) != entry:
                self._queue.append(attrs.evolve(entry, number=0))
                if entry.number in there:
                    self._put(there[entry.number])
                else:
                    self._shared.remove(_slot(entry))
        self._mark(upto)
        self._publish()

    def _waiting(self) -> list[Entry]:
        if self._newest is None or self._newest <= self._stored:
            return []
        return sorted(
            (entry for entry in self._slots.values() if entry.number > self._stored), key=lambda entry: entry.number
        )

    def _put(self, entry: Entry) -> None:
        value = json.dumps(entry_to_json(entry), separators=(",", ":"), ensure_ascii=False).encode()
        self._shared.put(_slot(entry), value)

    def _mark(self, number: int) -> None:
        self._shared.put(_STORED, str(number).encode())

    def _changed(self, key: str, value: bytes | None) -> None:
        if key == _STORED:
            self._stored = max(self._stored, int(value or b"0"))
            return
        if value is None:
            self._slots.pop(key, None)
            return
        try:
            entry = entry_from_json(json.loads(value))
        except (ValueError, TypeError) as error:  # a node of another version wrote it
            _log.warning("entry of the audit log in the shared map can't be read, left out", key=key, error=str(error))
            return
        self._slots[key] = entry
        self._newest = max(self._newest or 0, entry.number)


def _slot(entry: Entry) -> str:
    return f"{_PREFIX}{entry.number % _SLOTS:03d}"
