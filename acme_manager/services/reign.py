"""What a node does for as long as it leads, and only then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs
import structlog
import trio

from acme_manager.errors import AcmeManagerError
from acme_manager.ports import Cluster
from acme_manager.services.jobs import Jobs
from acme_manager.services.passes import Passes
from acme_manager.services.reconciling import Reconciler
from acme_manager.services.state import State
from acme_manager.structure import background

_log = structlog.get_logger(__name__)


@attrs.frozen(kw_only=True)
class Reign:
    """One term: take over what the last leader left, then take orders, renew, and look through storage now and then.

    It is cancelled the moment the node leads no more, and every order with it.
    """

    cluster: Cluster
    state: State
    jobs: Jobs
    reconciler: Reconciler
    passes: Passes
    reconciled: Callable[[int], None]  # told when the shared map agrees with storage, with the term
    interval: float  # seconds between two looks through storage
    renewals: Callable[[], Awaitable[None]]  # renews certificates, once it is known which there are; never returns
    beside: Sequence[Callable[[], Awaitable[None]]] = ()  # what is done beside that, likewise

    async def __call__(self, term: int) -> None:
        """Lead. Never returns."""
        _log.info("this node leads", term=term)
        async with self.jobs.open():
            await self.reconciler.take_over()
            self.state.announce_complete(self.cluster.stamp())
            self.reconciled(term)
            async with background(self.renewals, *self.beside):
                await self._reconcile(term)

    async def _reconcile(self, term: int) -> None:
        while True:
            await trio.sleep(self.interval)
            try:
                with self.passes.noted("storage comparison", self.interval, leader_only=True):
                    await self.reconciler.round()
                self.reconciled(term)
            except AcmeManagerError as error:
                _log.error("state not compared with storage", error=str(error), next_in=self.interval)
