"""Where the time goes between a leader's death and the next write."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime

import attrs
import trio

from acme_manager.clock import SystemClock
from acme_manager.storage.keys import fence_key
from tests.bench.figures import spread, table
from tests.bench.parts import BenchFailed
from tests.parts.cluster import Cluster
from tests.parts.faults import Forward, Reply
from tests.parts.node import Node
from tests.parts.openbao import CERTIFICATES

_NO_LEADER = re.compile(r'^ts=(\S+) .*msg="leader changed" leader= ', re.MULTILINE)
_LEADS = re.compile(r'^ts=(\S+) .*msg="leadership gained"', re.MULTILINE)


@attrs.frozen(kw_only=True)
class Steps:
    """Seconds from the kill until each step; `attempts` and `candidacies` are counts."""

    run_out: float  # both others hold the old lease for over
    looked: float  # the winner has begun to read the fence record: it is its turn
    voted: float  # it has begun to write the record: it has a majority
    fenced: float  # the record is written: it leads
    answered: float  # the client has its answer
    passed_on: bool  # the node that was asked is not the one that leads now
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

    def end(self, asked: Node, attempts: int) -> Steps:
        """A client has its answer from a node now. Raises BenchFailed when it can't be told how that came about."""
        answered = trio.current_time()
        write = next((one for one in self._writes.noted if one[2]), None)
        reads = [began for began, _, _ in self._reads.noted if write is None or began <= write[0]]
        run_out = [found for node in self._others if (found := self._logged(node, _NO_LEADER)) is not None]
        if write is None or not reads or not run_out:
            raise BenchFailed("a write succeeded after the leader's death, and nobody has taken over")
        since = [max(run_out), reads[-1] - self._began, write[0] - self._began, write[1] - self._began]
        return Steps(
            **dict(zip(("run_out", "looked", "voted", "fenced"), since, strict=True)),
            answered=answered - self._began,
            passed_on=self._logged(asked, _LEADS) is None,
            attempts=attempts,
            candidacies=len(reads),
        )

    def _logged(self, node: Node, line: re.Pattern[str]) -> float | None:
        """Seconds from the kill until a node first logged something; None if it has not."""
        dates = (datetime.fromisoformat(found) for found in line.findall(node.program.log()))
        return next(((date - self._date).total_seconds() for date in dates if date > self._date), None)


def steps_table(found: Sequence[Steps]) -> str:
    """How long each step took after the one before it."""
    steps = {
        "the old lease has run out with both others": [one.run_out for one in found],
        "the winner's turn has come": [one.looked - one.run_out for one in found],
        "fence record read, trial and vote won": [one.voted - one.looked for one in found],
        "fence record written": [one.fenced - one.voted for one in found],
        "client answered by the winner": [one.answered - one.fenced for one in found if not one.passed_on],
        "client answered by the other": [one.answered - one.fenced for one in found if one.passed_on],
    }
    rows = [(name, str(len(values)), spread(values, 3)) for name, values in steps.items() if values]
    return table([("step", "rounds", "seconds after the one before"), *rows])
