"""How the last attempts at each certificate went: steps, DNS records, what servers showed, what the CA said at last.

The leader writes it into the shared map while an order is under way and at its end, so that every node can show it.
There are no secrets in it: values of TXT records were public for a while.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import attrs
import trio

from acme_manager.dns.answers import Sight
from acme_manager.dns.challenge import Record
from acme_manager.dns.solver import DnsSolver
from acme_manager.dns.wire import Server
from acme_manager.domain.causes import classify
from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.gotime import rfc3339
from acme_manager.errors import AcmeManagerError, IssuanceFailed, Unavailable
from acme_manager.ports import Clock, SharedMap, Solver, Step
from acme_manager.services.progress import Progress

PREFIX = "attempt/"  # followed by the certificate's key
_MOST = 3  # attempts for each certificate
_MOST_RECORDS, _MOST_SERVERS, _LONGEST = 20, 8, 500  # in one of them; the last is of a text
_MOST_BYTES = 16 * 1024  # of all of them
_PAUSE = 2.0  # seconds between two writes about records while an attempt goes on
_KEPT = timedelta(days=14)

RUNNING, ISSUED, DELETED, FAILED, INTERRUPTED = "running", "issued", "deleted", "failed", "interrupted"


@attrs.define
class _Open:
    """An attempt that goes on."""

    record: dict[str, Any]
    earlier: list[dict[str, Any]]
    written: float  # trio.current_time() of the last write


class Attempts:
    """Written by the node that leads, read by all."""

    def __init__(self, shared: SharedMap, progress: Progress, clock: Clock) -> None:
        self._shared, self._progress, self._clock = shared, progress, clock
        self._open: dict[str, _Open] = {}

    def of(self, id: CertificateId) -> Sequence[Mapping[str, Any]]:
        """The last attempts, the newest first."""
        return self._read(PREFIX + id.key)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Note the steps of attempts for the length of a block."""
        with self._progress.watched_by(self._see_step):
            yield

    def announce(self, id: CertificateId, reason: str) -> None:
        """Show an attempt that `noted` is about to follow, for those who do not wait for its end."""
        self._write(id.key, self._new(id, reason))

    @contextmanager
    def noted(self, id: CertificateId, reason: str, success: str = ISSUED) -> Iterator[None]:
        """Note what happens in the block, and how it ends. There is one at a time for a certificate."""
        attempt = self._open[id.key] = self._new(id, reason)
        record, outcome = attempt.record, INTERRUPTED
        try:
            yield
            outcome = success
        except Exception as error:
            outcome = FAILED
            if isinstance(error, AcmeManagerError):
                record |= {"error": _cut(str(error)), "cause": classify(error).name}
            else:
                record["error"] = "internal error, see the log"
            if isinstance(error, IssuanceFailed) and error.problem is not None:
                record["problem"] = _cut(str(error.problem))
            raise
        finally:
            del self._open[id.key]
            record |= {"ended": self.now(), "outcome": outcome}
            self._write(id.key, attempt)

    def watch(self, id: CertificateId, issuer: str, solver: Solver) -> None:
        """From now on, note what the solver does for the attempt, which goes to that issuer."""
        attempt = self._open.get(id.key)
        if attempt is None:
            return
        attempt.record["issuer"] = issuer
        if isinstance(solver, DnsSolver):
            solver.observer = _Notes(self, id.key, attempt)

    def interrupt(self, busy: Callable[[str], bool]) -> None:
        """As a new leader, note of what earlier ones had under way that it goes on no more; `busy` is what does."""
        for entry, value in list(self._shared.items(PREFIX)):
            key = entry.removeprefix(PREFIX)
            if b'"running"' in value and not busy(key) and _interrupt(found := self._read(entry)):
                with suppress(Unavailable):  # it leads no more
                    self._shared.put(entry, _encoded(found))

    def forget(self, id: CertificateId) -> None:
        """As the leader, drop what is known of the attempts at a certificate. Raises NotLeader, NoQuorum."""
        self._shared.remove(PREFIX + id.key)

    def forget_old(self) -> None:
        """As the leader, drop what is older than two weeks. Raises NotLeader, NoQuorum."""
        before = rfc3339(self._clock.now() - _KEPT)
        for key, _ in list(self._shared.items(PREFIX)):
            found = self._read(key)
            if not found or found[0].get("began", "") < before:
                self._shared.remove(key)

    def touch(self, key: str, attempt: _Open) -> None:
        """Show the others what there is so far, unless they have been shown something just now."""
        if trio.current_time() - attempt.written >= _PAUSE:
            self._write(key, attempt)

    def _new(self, id: CertificateId, reason: str) -> _Open:
        earlier = self._read(PREFIX + id.key)
        if earlier and _is_announcement(earlier[0]):
            del earlier[0]  # of this one
        _interrupt(earlier)
        record: dict[str, Any] = {"began": self.now(), "outcome": RUNNING, "reason": reason, "steps": [], "records": []}
        return _Open(record, earlier[: _MOST - 1], trio.current_time())

    def _see_step(self, id: CertificateId, step: Step) -> None:
        attempt = self._open.get(id.key)
        if attempt is not None:
            attempt.record["steps"].append({"step": step.value, "at": self.now()})
            self._write(id.key, attempt)  # at once: the next may be long in coming

    def _write(self, key: str, attempt: _Open) -> None:
        attempt.written = trio.current_time()
        record = attempt.record
        while len(value := _encoded([record, *attempt.earlier])) > _MOST_BYTES:
            if attempt.earlier:
                attempt.earlier.pop()
            else:
                record = record | {"records": record["records"][: len(record["records"]) // 2]}
        with suppress(Unavailable):  # it does not lead any more
            self._shared.put(PREFIX + key, value)

    def _read(self, key: str) -> list[dict[str, Any]]:
        with suppress(ValueError, TypeError):
            found = json.loads(self._shared.get(key) or b"[]")
            return [one for one in found if isinstance(one, dict)]
        return []  # a node of another version wrote it

    def now(self) -> str:
        """The instant, as it is noted: RFC 3339."""
        return rfc3339(self._clock.now())


@attrs.frozen
class _Notes:
    """Takes down what becomes of an order's records (DnsObserver)."""

    attempts: Attempts
    key: str
    attempt: _Open

    def written(self, record: Record) -> None:
        """See DnsObserver."""
        records = self.attempt.record["records"]
        if len(records) < _MOST_RECORDS:
            noted = {"name": record.name, "value": record.value, "provider": record.provider, "servers": []}
            records.append(noted | ({"credentials": record.credentials} if record.credentials else {}))
        self.attempts.touch(self.key, self.attempt)

    def seen(self, name: str, server: Server, sight: Sight) -> None:
        """See DnsObserver. A name with two values has its servers noted once, at the first."""
        record = next((one for one in self.attempt.record["records"] if one["name"] == name), None)
        if record is None:
            return
        servers, text = record["servers"], str(server)
        noted = next((one for one in servers if one["server"] == text), None)
        if noted is None:
            if len(servers) >= _MOST_SERVERS:
                return
            servers.append(noted := {"server": text})
        if noted.get("words") != sight.words:
            noted |= {"complete": sight.complete, "words": _cut(sight.words), "since": self.attempts.now()}
            self.attempts.touch(self.key, self.attempt)


def _is_announcement(attempt: Mapping[str, Any]) -> bool:
    return attempt.get("outcome") == RUNNING and not (attempt.get("steps") or attempt.get("records"))


def _interrupt(attempts: Sequence[dict[str, Any]]) -> bool:
    """Note that those which go on do so no more; whether there was one."""
    running = [one for one in attempts if one.get("outcome") == RUNNING]
    for one in running:
        one["outcome"] = INTERRUPTED
    return bool(running)


def _encoded(attempts: list[dict[str, Any]]) -> bytes:
    return json.dumps(attempts, separators=(",", ":"), ensure_ascii=False).encode()


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
