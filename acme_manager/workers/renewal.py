"""The renewal worker (guide, "Background Workers"): renews what is due, on the leader."""

from __future__ import annotations

import attrs

from acme_manager.services.renewals import Renewals
from acme_manager.workers.schedule import WorkerMetrics, every


@attrs.frozen(kw_only=True)
class RenewalWorker:
    """Rounds at the latest every `interval` seconds, and whenever a certificate wants a look."""

    renewals: Renewals
    interval: float
    metrics: WorkerMetrics

    async def __call__(self) -> None:
        """Never returns."""
        async with self.renewals.open():
            renewals = self.renewals
            await every(self.interval, "renewal", renewals.round, self.metrics, renewals.bell, leader_only=True)()
