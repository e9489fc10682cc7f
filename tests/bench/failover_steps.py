"""Where the time goes between a leader's death and the next write."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime

import attrs
import trio

from acme_manager.app import SystemClock
from acme_manager.storage.keys import fence_key
from tests.bench.figures import spread, table
from tests.bench.parts import BenchFailed
from tests.parts.cluster import Cluster
from tests.parts.faults import Forward, Reply
from tests.parts.node import Node
from tests.parts.openbao import CERTIFICATES

_NO_LEADER = re.compile(r'^ts=(\S+) .*msg="leader changed" leader= ', re.MULTILINE)


@attrs.frozen(kw_only=True)
class Steps:
    """Seconds from the kill until each step; `attempts` and `candidacies` are counts."""

    run_out: float  # both others hold the old lease for over
    looked: float  # the winner has begun to read the fence record: it is its turn
    voted: float  # it has begun to write the record: it has a majority
    fenced: float  # the record is written: it leads
    answered: float  # the client has its answer
    attempts: int  # of the client
    candidacies: int


@attrs.define
class _Stopwatch:
    """Notes when requests began and ended at the proxy before OpenBao, and whether they did something."""

    noted: list[tuple[float, float, bool]] = attrs.field(factory=list)

    async def apply(self, forward: Forward) -> Reply:
        """The server's reply."""
        began = trio.current_time()
        reply = await forward()
        self.noted.append((began, trio.current_time(), reply.status < 300))
        return reply


class Recorder:
    """Watches one cluster from outside: what its nodes log, and what they do with the fence record."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._reads, self._writes = _Stopwatch(), _Stopwatch()
        key = re.escape(fence_key(CERTIFICATES))
        cluster.to_bao.plan(self._reads, on=f"^GET .*{key}", times=math.inf)
        cluster.to_bao.plan(self._writes, on=f"^(POST|PUT) .*{key}", times=math.inf)
        self._others: list[Node] = []
        self._began = 0.0
        self._date = SystemClock().now()

    def begin(self, leader: Node) -> None:
        """The leader is killed now."""
        self._others = self._cluster.others(leader)
        self._reads.noted.clear()
        self._writes.noted.clear()
        self._date, self._began = SystemClock().now(), trio.current_time()

    def end(self, attempts: int) -> Steps:
        """A client has its answer now. Raises BenchFailed when it can't be told how that came about."""
        answered = trio.current_time()
        write = next((one for one in self._writes.noted if one[2]), None)
        reads = [began for began, _, _ in self._reads.noted if write is None or began <= write[0]]
        run_out = [self._lease_over(node) for node in self._others]
        if write is None or not reads:
            raise BenchFailed("a write succeeded after the leader's death, and nobody has taken over")
        since = [max(run_out), reads[-1] - self._began, write[0] - self._began, write[1] - self._began]
        return Steps(
            **dict(zip(("run_out", "looked", "voted", "fenced"), since, strict=True)),
            answered=answered - self._began,
            attempts=attempts,
            candidacies=len(reads),
        )

    def _lease_over(self, node: Node) -> float:
        dates = (datetime.fromisoformat(found) for found in _NO_LEADER.findall(node.program.log()))
        since = [(date - self._date).total_seconds() for date in dates if date > self._date]
        if not since:
            raise BenchFailed(f"{node.name} has not noticed that the leader is gone")
        return since[0]


def steps_table(found: Sequence[Steps]) -> str:
    """How long each step took after the one before it."""
    steps = [
        ("the old lease has run out with both others", [one.run_out for one in found]),
        ("the winner's turn has come", [one.looked - one.run_out for one in found]),
        ("fence record read, trial and vote won", [one.voted - one.looked for one in found]),
        ("fence record written", [one.fenced - one.voted for one in found]),
        ("client answered", [one.answered - one.fenced for one in found]),
    ]
    return table([("step", "seconds after the one before"), *((name, spread(values, 3)) for name, values in steps)])
