"""The worker for operations on many certificates: looks how far they are and has them go on, on the leader."""

from __future__ import annotations

import attrs

from acme_manager.services.operation_rounds import OperationRounds
from acme_manager.workers.schedule import WorkerMetrics, every

_INTERVAL = 2.0  # seconds; a round without an operation costs nothing


@attrs.frozen(kw_only=True)
class OperationWorker:
    """Rounds whenever an operation changes, and else each few seconds."""

    rounds: OperationRounds
    metrics: WorkerMetrics

    async def __call__(self) -> None:
        """Never returns."""
        async with self.rounds.open():
            rounds = self.rounds
            await every(_INTERVAL, "operations", rounds.round, self.metrics, rounds.bell, leader_only=True)()
