"""What has happened to certificates, counted once by the leader and known to every node (guide, "Monitoring").

Only the leader sees a certificate come and go, but Prometheus may ask any node, and leaders change. So the counts are
in the shared map: the leader adds to them, the next leader goes on from where it was. They last as long as the map:
when all nodes have stopped they begin at zero again, as every counter may.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import structlog
import trio

from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.gotime import milliseconds
from acme_manager.errors import Unavailable
from acme_manager.ports import Clock, SharedMap, Step
from acme_manager.services.progress import Progress
from acme_manager.services.state import State

_log = structlog.get_logger(__name__)

CREATED, RENEWED, REVOKED = EVENTS = ("created", "renewed", "revoked")

Labels = tuple[str, str, str, str]  # issuer, owner, domain, name

_PREFIX = "counter/"
_PAUSE = 1.0  # seconds between two writes of the same count: a burst of events costs one each
_KEPT = timedelta(days=7)  # how long the counts of a certificate outlive it


class Counters:
    """Events by certificate. They come from `progress`; `run` has to be running."""

    def __init__(self, shared: SharedMap, state: State, progress: Progress, clock: Clock) -> None:
        self._shared, self._state, self._progress, self._clock = shared, state, progress, clock
        self._values: dict[tuple[str, Labels], int] = {}
        self._labels: dict[str, Labels] = {}  # by key of the map
        self._touched: dict[str, int] = {}  # likewise; Unix milliseconds
        self._pending: dict[Labels, Counter[str]] = {}
        self._waiting = trio.Event()

    def values(self) -> Mapping[tuple[str, Labels], int]:
        """How often each event has happened, by (event, (issuer, owner, domain, name)); a view, never going back."""
        return MappingProxyType(self._values)

    def add(self, event: str, id: CertificateId) -> None:
        """Count one event; it shows within a second or so."""
        self._pending.setdefault((id.issuer, id.owner, id.domain, id.name), Counter())[event] += 1
        self._waiting.set()

    async def run(self) -> None:
        """Follow the map, and write to it what has been added: at once when it has been quiet. Never returns."""
        with self._shared.watch(_PREFIX, self._changed), self._progress.watched_by(self._see):
            try:
                while True:
                    await self._waiting.wait()
                    self._write()
                    await trio.sleep(_PAUSE)
            finally:
                self._write()

    def forget_gone(self) -> None:
        """As the leader, drop the counts of certificates that are gone for a week. Raises NotLeader, NoQuorum."""
        before = milliseconds(self._clock.now() - _KEPT)
        gone = [key for key, touched in self._touched.items() if touched < before and not self._there(key)]
        for key in gone:
            self._shared.remove(key)

    def _see(self, id: CertificateId, step: Step) -> None:
        if step is Step.REVOKED:
            self.add(REVOKED, id)
        elif step is Step.STORED:
            kept = self._state.certificates.get(id.key)
            self.add(RENEWED if kept is not None and kept.renewal_count else CREATED, id)

    def _there(self, key: str) -> bool:
        issuer, owner, domain, name = self._labels[key]
        return self._state.certificates.get(CertificateId(owner, issuer, domain, name).key) is not None

    def _write(self) -> None:
        now = self._clock.now()
        try:
            for labels, counted in tuple(self._pending.items()):
                self._shared.put(_key(labels), self._record(labels, counted, now))
                del self._pending[labels]
        except Unavailable:
            return  # it does not lead any more: what is left is added if it leads again
        self._waiting = trio.Event()

    def _record(self, labels: Labels, counted: Counter[str], now: datetime) -> bytes:
        counts = {event: self._values.get((event, labels), 0) + counted[event] for event in EVENTS}
        record: dict[str, Any] = {"of": labels, "at": milliseconds(now)}
        return json.dumps(
            record | {event: count for event, count in counts.items() if count}, separators=(",", ":")
        ).encode()

    def _changed(self, key: str, value: bytes | None) -> None:
        if value is None:
            if key in self._labels:
                gone = self._labels.pop(key)
                del self._touched[key]
                for event in EVENTS:
                    self._values.pop((event, gone), None)
            return
        try:
            labels, touched, counts = _read(value)
        except (ValueError, TypeError, KeyError) as error:  # a node of another version wrote it
            _log.warning("count in the shared map can't be read, left out", key=key, error=str(error))
            return
        self._labels[key], self._touched[key] = labels, touched
        for event, count in counts.items():
            # A leader that had not yet heard of its predecessor's last write begins below it: a counter must not fall.
            self._values[event, labels] = max(count, self._values.get((event, labels), 0))


def _key(labels: Labels) -> str:
    # Names can be longer than a key may be, and can contain every separator.
    return _PREFIX + hashlib.blake2b(json.dumps(labels).encode(), digest_size=16).hexdigest()


def _read(value: bytes) -> tuple[Labels, int, dict[str, int]]:
    record = json.loads(value)
    issuer, owner, domain, name = map(str, record["of"])
    counts = {event: int(record[event]) for event in EVENTS if event in record}
    return (issuer, owner, domain, name), int(record["at"]), counts
