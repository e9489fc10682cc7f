"""Who has fetched each certificate last, known on every node.

Any node answers reads, and only the leader writes the shared map. A node that does not lead hands its notes in as a
fact about itself: the ring carries such facts anyway, as safe as all else in it, every node may state them at any time,
and a new leader finds them. So there is no route that would have to be guarded by a secret of its own. Notes are few:
the same caller is noted once in five minutes. Nothing depends on them, and what is too much is dropped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import attrs
import structlog
import trio

from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.gotime import milliseconds
from acme_manager.errors import InvalidRequest, Unavailable
from acme_manager.ports import Clock, Cluster, SharedMap
from acme_manager.services.state import State

_log = structlog.get_logger(__name__)

_PREFIX = "fetch/"  # followed by the certificate's key
_FACTS, _FACT = "member/", "fetches"  # `member/<node>/fetches`
_MOST = 3  # callers of each certificate
_AGAIN = 300_000  # milliseconds until the same caller is noted again
_KEPT = timedelta(days=90)
_LONGEST = 60  # characters of a program's name, and of an address
_MOST_WAITING = 20_000  # notes on this node
_MOST_BYTES = 48 * 1024  # of what is handed in at once; the shared map takes no more than 64 KiB
_CHUNK = 100  # entries between two chances for others to run
_PAUSE = 4.0  # seconds between two looks at what is to be done
_BETWEEN = 10.0  # seconds between two batches of a node: the leader has had time to see the one before

Note = tuple[str, "Fetch"]  # the certificate's key, and who fetched it


@attrs.frozen(kw_only=True)
class Fetch:
    """A caller, and when it was given the certificate last (give or take five minutes), in Unix milliseconds.

    `by` is as in the audit log: `token <id>`. `program` is the product that the caller says it is: `curl/8.5.0`.
    """

    by: str
    address: str
    program: str
    at: int

    @property
    def when(self) -> datetime:
        """The instant, in UTC."""
        return datetime.fromtimestamp(self.at / 1000, tz=UTC)

    @property
    def caller(self) -> tuple[str, str, str]:
        """What makes it another one."""
        return self.by, self.address, self.program


class Fetches:
    """Noted by any node, written by the one that leads, read by all. `following` and `run` have to be entered."""

    def __init__(self, cluster: Cluster, shared: SharedMap, state: State, clock: Clock) -> None:
        self._cluster, self._shared, self._state, self._clock = cluster, shared, state, clock
        self._waiting: dict[tuple[str, tuple[str, str, str]], Fetch] = {}  # by the certificate's key and the caller
        self._batches: dict[str, bytes] = {}  # what other nodes have handed in last, by key of the shared map
        self._next_batch = -math.inf  # trio.current_time() of it

    def of(self, id: CertificateId) -> Sequence[Fetch]:
        """The last three callers, the latest first."""
        return self._read(id.key)

    def note(self, id: CertificateId, *, by: str, address: str, user_agent: str) -> None:
        """Somebody is given that certificate. It never raises, and takes microseconds."""
        program = user_agent.partition(" ")[0][:_LONGEST]
        now = milliseconds(self._clock.now())
        fetch = Fetch(by=by, address=address[:_LONGEST], program=program if program.isprintable() else "", at=now)
        place = id.key, fetch.caller
        if place not in self._waiting and len(self._waiting) < _MOST_WAITING and _with(fetch, self._read(id.key)):
            self._waiting[place] = fetch

    @contextmanager
    def following(self) -> Iterator[None]:
        """Hear what other nodes hand in for the length of a block."""
        with self._shared.watch(_FACTS, self._told):
            yield

    async def run(self) -> None:
        """Write what there is while this node leads, else hand it in. Never returns."""
        while True:
            await trio.sleep(_PAUSE)
            with suppress(Unavailable):  # it leads no more
                await self.look()

    async def look(self) -> None:
        """One look at what is to be done. Raises NotLeader, NoQuorum."""
        if self._cluster.leads():
            own, self._waiting = self._waiting, {}
            batches, self._batches = self._batches, {}
            await self._write((key, fetch) for (key, _), fetch in own.items())
            for batch in batches.values():
                await self._write(_decode_batch(batch))
        elif self._waiting and trio.current_time() >= self._next_batch:
            self._next_batch = trio.current_time() + _BETWEEN
            self._hand_in()

    async def forget_old(self) -> None:
        """As the leader, drop what is older than 90 days, or about no certificate. Raises NotLeader, NoQuorum."""
        before = milliseconds(self._clock.now() - _KEPT)
        for number, (entry, _) in enumerate(tuple(self._shared.items(_PREFIX))):
            key = entry.removeprefix(_PREFIX)
            found = self._read(key)
            if not found or found[0].at < before or self._state.certificates.get(key) is None:
                self._shared.remove(entry)
            if number % _CHUNK == 0:
                await trio.lowlevel.checkpoint()

    def _hand_in(self) -> None:
        records: list[bytes] = []
        size = 0
        for (key, _), fetch in self._waiting.items():
            record = _encode([key, *attrs.astuple(fetch)])
            size += len(record) + 1
            if size > _MOST_BYTES:
                break
            records.append(record)
        for place in tuple(islice(self._waiting, len(records))):
            del self._waiting[place]
        self._cluster.put_fact(_FACT, b"[" + b",".join(records) + b"]")

    def _told(self, key: str, value: bytes | None) -> None:
        if key.endswith(f"/{_FACT}") and key != f"{_FACTS}{self._cluster.name}/{_FACT}":
            if value is None:
                self._batches.pop(key, None)
            else:
                self._batches[key] = value  # whoever leads next takes it; twice is as good as once

    async def _write(self, notes: Iterable[Note]) -> None:
        for number, (key, fetch) in enumerate(notes):
            if self._state.certificates.get(key) is not None and (found := _with(fetch, self._read(key))):
                with suppress(InvalidRequest):  # its key is too long for the map
                    self._shared.put(_PREFIX + key, _encode([attrs.astuple(one) for one in found]))
            if number % _CHUNK == 0:
                await trio.lowlevel.checkpoint()

    def _read(self, key: str) -> Sequence[Fetch]:
        with suppress(ValueError, TypeError):
            return [_fetch(record) for record in json.loads(self._shared.get(_PREFIX + key) or b"[]")]
        return ()  # a node of another version wrote it


def _with(fetch: Fetch, known: Sequence[Fetch]) -> Sequence[Fetch]:
    """The last callers once this one is among them; nothing when that is no news."""
    if any(one.caller == fetch.caller and fetch.at < one.at + _AGAIN for one in known):
        return ()
    others = [one for one in known if one.caller != fetch.caller]
    found = sorted([fetch, *others], key=lambda one: one.at, reverse=True)[:_MOST]
    return found if fetch in found else ()


def _fetch(record: Sequence[Any]) -> Fetch:
    by, address, program, at = record[:4]
    return Fetch(by=str(by), address=str(address), program=str(program), at=int(at))


def _decode_batch(batch: bytes) -> list[Note]:
    try:
        return [(str(key), _fetch(record)) for key, *record in json.loads(batch)]
    except (ValueError, TypeError) as error:
        _log.warning("notes of another node can't be read, left out", error=str(error))
        return []


def _encode(record: object) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
