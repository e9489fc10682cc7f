"""The cleanup worker (guide, "Background Workers"): a round each `-cleanup.interval`, on the leader, while it leads."""

from __future__ import annotations

import attrs
import trio

from acme_manager.domain.gotime import milliseconds
from acme_manager.services.cleanup import Cleanup
from acme_manager.workers.schedule import WorkerMetrics, every

_SETTLE = 60.0  # seconds; a new leader has more urgent things to do first


@attrs.frozen(kw_only=True)
class CleanupWorker:
    """Give it to `Ring.whenever_leading`. A change of leader moves no round nearer to the one before it."""

    cleanup: Cleanup
    interval: float  # seconds
    metrics: WorkerMetrics

    async def __call__(self, _term: int) -> None:
        """Never returns."""
        await trio.sleep(self.wait())
        await every(self.interval, "cleanup", self.cleanup.round, self.metrics, leader_only=True)()

    def wait(self) -> float:
        """How many seconds a new leader waits for its first round."""
        latest, now = self.cleanup.notes.latest(), milliseconds(self.cleanup.survey.clock.now())
        left = latest / 1000 + self.interval - now / 1000 if latest else 0.0
        return min(max(left, _SETTLE), self.interval)  # whatever clocks say
