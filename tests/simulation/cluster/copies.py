"""One node's copy of the shared map, watched: what it once showed as deleted or replaced must not show up again."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from acme_manager.ring.entries import Entry
from acme_manager.ring.store import ReplicatedMap
from acme_manager.ring.sync import Sync, answer
from acme_manager.ring.sync_messages import Reply, Request
from tests.simulation.cluster.outside import Storage
from tests.simulation.cluster.world import Broken

_DELETED = 0.5  # what comes after version n, and before version n + 1


@attrs.define(eq=False)
class Copy:
    """The values are versions of secrets, as text. It lives as long as its node's process."""

    storage: Storage
    strict: bool  # off: a node that was away for longer than tombstones last may show an old entry until it has synced
    map: ReplicatedMap = attrs.field(factory=ReplicatedMap)
    reconciled: int = 0  # the term in which this node has compared the map with storage
    _shown: dict[str, float] = attrs.field(factory=dict)
    _known: dict[str, int] = attrs.field(factory=dict)  # versions that this node has read or written itself
    _syncs: dict[int, Sync] = attrs.field(factory=dict)
    _asked: int = 0

    def knows(self, key: str, version: int, *, deleted: bool) -> bool:
        """Whether storage having this is no news to the map."""
        if self._known.get(key, 0) > version:
            return True
        self._known[key] = version
        value = self.map.get(key)
        return value is None if deleted else value is not None and int(value) >= version

    def write(self, term: int, key: str, version: int, *, deleted: bool, now: float) -> Entry:
        """The leader's change. Raises NotLeader when a later leader has written already."""
        self._known[key] = max(version, self._known.get(key, 0))
        stamp = self.map.next_stamp(term)
        value = str(version).encode()
        entry = self.map.remove(key, stamp, now) if deleted else self.map.put(key, value, stamp, now)
        self._changed([entry])
        return entry

    def merge(self, entries: Iterable[Entry], now: float) -> None:
        self._changed(self.map.merge(entries, now))

    def expire(self, now: float, term: int | None) -> None:
        self.map.expire(now, leading=term is not None and self.reconciled == term)

    def shown(self) -> dict[str, int]:
        return {key: int(value) for key, value in self.map.items()}

    # --- delta sync: a conversation that may break off anywhere

    def start_sync(self) -> tuple[int, Request]:
        """The first request, and its number: a connection delivers each reply once."""
        sync = Sync()
        return self._asks(sync, sync.start(self.map))

    def go_on_sync(self, number: int, reply: Reply, now: float) -> tuple[int, Request] | None:
        sync = self._syncs.pop(number, None)
        if sync is None:
            return None
        request, changes = sync.receive(self.map, reply, now)
        self._changed(changes)
        return None if request is None else self._asks(sync, request)

    def _asks(self, sync: Sync, request: Request) -> tuple[int, Request]:
        self._asked += 1
        self._syncs = {self._asked: sync}
        return self._asked, request

    def answer_sync(self, request: Request, now: float) -> Reply:
        reply, changes = answer(self.map, request, now)
        self._changed(changes)
        return reply

    # --- what must hold

    def _changed(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            shown = self._shown.get(entry.key, 0.0)
            if entry.value is None:
                self._shown[entry.key] = int(shown) + _DELETED
                continue
            version = int(entry.value)
            if self.strict and version < shown and not self._is_true(entry.key, version):
                raise Broken(f"6: version {version} of {entry.key} is back, after {shown:g} (.5: deleted)")
            self._shown[entry.key] = version

    def _is_true(self, key: str, version: int) -> bool:
        """Whether storage has it: a node that was away too long forgets what it alone knew, and is told again."""
        newest, record = self.storage.data.get(key, (0, None))
        return newest == version and record is not None and not getattr(record, "deleted", True)
