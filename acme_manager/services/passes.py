"""The last round of each worker: when it was, how it ended, and when the next is due.

What runs on every node is known where it runs. What only the leader does is in the shared map, so that every node can
show it; as every write goes to all nodes, rounds that end like the one before are told twice a minute at most.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import attrs
import structlog
import trio

from acme_manager.domain.gotime import milliseconds
from acme_manager.errors import AcmeManagerError, Unavailable
from acme_manager.ports import Clock, Cluster, SharedMap

_log = structlog.get_logger(__name__)

_PREFIX = "pass/"  # followed by the worker's name
_PAUSE = 30.0  # seconds between two looks at what is to be told
_LONGEST_ERROR = 500  # characters
_GRACE = timedelta(seconds=2 * _PAUSE)  # what others hear is older than what there is
_KEPT = timedelta(days=7)  # after the next round should have been: it may have been switched off

Figures = Mapping[str, int]


@attrs.frozen(kw_only=True)
class Pass:
    """The last round of a worker that is over. Instants are in UTC."""

    worker: str
    node: str
    leader_only: bool  # else every node has one of its own
    interval: float  # seconds from round to round, if nothing brings one sooner
    began: datetime
    ended: datetime
    succeeded: datetime | None = None  # when a round of this node last ended well
    error: str = ""  # why the round failed; empty when it did not
    failures: int = 0  # in a row, of this node
    figures: Figures = attrs.field(factory=dict)  # what it says of itself, by names for people

    @property
    def next(self) -> datetime:
        """When the next round is due."""
        return max(self.began + timedelta(seconds=self.interval), self.ended)

    def late(self, now: datetime) -> bool:
        """Whether the next round should have been over for as long as it may take to hear of it, or as it may last."""
        return now > self.next + max(timedelta(seconds=self.interval), _GRACE)


class Passes:
    """Noted where a round is made; what only the leader does is readable on every node."""

    def __init__(self, cluster: Cluster, shared: SharedMap, clock: Clock) -> None:
        self._cluster, self._shared, self._clock = cluster, shared, clock
        self._own: dict[str, Pass] = {}
        self._untold: set[str] = set()

    def all(self) -> Sequence[Pass]:
        """Every worker's last round, by name: this node's, and the leader's of what only the leader does."""
        found = {one.worker: one for key, value in self._shared.items(_PREFIX) if (one := _decode(key, value))}
        for own in self._own.values():
            told = found.get(own.worker)
            if told is None or told.ended <= own.ended:
                found[own.worker] = own
        return [found[worker] for worker in sorted(found)]

    @contextmanager
    def noted(self, worker: str, interval: float, *, leader_only: bool = False) -> Iterator[dict[str, int]]:
        """Note the round in the block, and how it ends; what it says of itself goes into the dict.

        Of what only the leader does, a round counts only where this node still leads at its end.
        """
        began, figures, error = self._clock.now(), dict[str, int](), ""
        try:
            yield figures
        except Exception as failure:
            error = str(failure) if isinstance(failure, AcmeManagerError) else f"{type(failure).__name__}; see the log"
            self._note(worker, interval, began, figures, error or "failed", leader_only=leader_only)
            raise
        self._note(worker, interval, began, figures, "", leader_only=leader_only)

    async def run(self) -> None:
        """Tell the others of rounds that ended like the one before, now and then. Never returns."""
        while True:
            await trio.sleep(_PAUSE)
            for worker in tuple(self._untold):
                self._tell(worker)

    def forget_old(self) -> None:
        """As the leader, drop workers that have not been heard of for a week. Raises NotLeader, NoQuorum."""
        for key, value in list(self._shared.items(_PREFIX)):
            one = _decode(key, value)
            if one is None or self._clock.now() > one.next + _KEPT:
                self._shared.remove(key)

    def _note(
        self, worker: str, interval: float, began: datetime, figures: Figures, error: str, *, leader_only: bool
    ) -> None:
        if leader_only and not self._cluster.leads():
            return
        before, now = self._own.get(worker), self._clock.now()
        self._own[worker] = Pass(
            worker=worker,
            node=self._cluster.name,
            leader_only=leader_only,
            interval=interval,
            began=began,
            ended=now,
            succeeded=(before.succeeded if before else None) if error else now,
            error=error[:_LONGEST_ERROR],
            failures=(before.failures if before else 0) + 1 if error else 0,
            figures=figures,
        )
        if leader_only:
            self._untold.add(worker)
            if before is None or bool(before.error) != bool(error):
                self._tell(worker)

    def _tell(self, worker: str) -> None:
        self._untold.discard(worker)
        with suppress(Unavailable):  # it does not lead any more: its successor has a round of its own
            self._shared.put(_PREFIX + worker, _encode(self._own[worker]))


def _encode(one: Pass) -> bytes:
    record = attrs.asdict(one, filter=lambda field, value: field.name not in {"worker", "leader_only"} and bool(value))
    times = {name: milliseconds(value) for name, value in record.items() if isinstance(value, datetime)}
    return json.dumps(record | times, separators=(",", ":"), ensure_ascii=False).encode()


def _decode(key: str, value: bytes) -> Pass | None:
    try:
        record = json.loads(value)
        times = {name: _instant(record[name]) for name in ("began", "ended", "succeeded") if name in record}
        return Pass(**{**record, **times, "worker": key.removeprefix(_PREFIX), "leader_only": True})
    except (ValueError, TypeError, OverflowError, OSError) as error:  # a node of another version wrote it
        _log.warning("round of a worker can't be read, left out", key=key, error=str(error))
        return None


def _instant(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, tz=UTC)
