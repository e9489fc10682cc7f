"""What the leader removes from the shared map when its time is over: rate limits, counts, attempts and more."""

from __future__ import annotations

import attrs

from acme_manager.ports import Cluster
from acme_manager.services.attempts import Attempts
from acme_manager.services.counters import Counters
from acme_manager.services.fetches import Fetches
from acme_manager.services.passes import Passes
from acme_manager.services.rate_limits import RateLimits
from acme_manager.services.reports import Reports
from acme_manager.services.sessions import Sessions


@attrs.frozen
class MapUpkeep:
    """Every node runs it; it does nothing on those that do not lead."""

    cluster: Cluster
    rate_limits: RateLimits
    counters: Counters
    attempts: Attempts
    reports: Reports
    sessions: Sessions
    passes: Passes
    fetches: Fetches

    async def look(self) -> None:
        """One round. Raises NotLeader, NoQuorum."""
        if self.cluster.leads():
            await self.rate_limits.forget_expired()
            self.counters.forget_gone()
            self.attempts.forget_old()
            self.reports.forget_old()
            self.sessions.forget_ended()
            self.passes.forget_old()
            await self.fetches.forget_old()
