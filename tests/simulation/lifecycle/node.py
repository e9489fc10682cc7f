"""One node of a cluster in memory: the services of a real one, on a map and a storage that all nodes share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Common
from acme_manager.ports import Clock
from acme_manager.ring.alone import Alone
from acme_manager.services.asking import Asking
from acme_manager.services.plans import Plans
from acme_manager.services.reign import Reign
from acme_manager.services.renewal_metrics import RenewalMetrics
from acme_manager.services.renewals import Renewals
from acme_manager.storage.memory import MemoryStorage
from acme_manager.workers.renewal import RenewalWorker
from tests.simulation.lifecycle.ca import SimulatedCa
from tests.simulation.lifecycle.fleet import ARI, PLAIN
from tests.unit.services.world import World, open_world, passes, with_limits, worker_metrics

_INTERVAL = 1800.0  # seconds: the default of -check-renewal-interval
_LOOK_THROUGH_STORAGE = 7 * 86400.0  # seconds; by default it is as often as the above, which would be most of the cost


class Seat(Alone):
    """A node's part in a cluster whose nodes have one map, and never more than one leader."""

    def __init__(self, name: str, shared: Alone) -> None:
        super().__init__(name)
        self.leading = False
        self._entries, self._watchers = shared._entries, shared._watchers


@attrs.frozen(kw_only=True)
class Node:
    """What it takes to lead."""

    seat: Seat
    world: World
    reign: Reign
    registry: CollectorRegistry

    @property
    def failed_rounds(self) -> float:
        """Rounds of renewals that ended with an error."""
        return self.registry.get_sample_value("acme_manager_worker_failures_total", {"worker": "renewal"}) or 0


@asynccontextmanager
async def open_node(
    name: str, shared: Alone, storage: MemoryStorage, clock: Clock, cas: Mapping[str, SimulatedCa]
) -> AsyncIterator[Node]:
    """It does not lead yet."""
    seat, registry = Seat(name, shared), CollectorRegistry()
    common = Common(rate_limit_enabled=True, rate_limit_max_requests=20)
    async with open_world(
        storage,
        cluster=seat,
        clock=clock,
        common=common,
        ca=cas[PLAIN],
        fallback={ARI: cas[ARI]},
        lead=False,
        load=False,
    ) as world:
        settings, state = world.issuing.settings, world.state
        for issuer in cas:
            with_limits(settings, "letsencrypt", issuer)
        renewals = Renewals(
            state=state,
            plans=Plans(state, settings, clock),
            asking=Asking(state, world.issuing.store, world.issuing.issuers, clock),
            certificates=world.certificates,
            budget=world.budgets,
            settings=settings,
            clock=clock,
            metrics=RenewalMetrics.on(registry),
            interval=_INTERVAL,
        )
        reign = Reign(
            cluster=seat,
            state=state,
            jobs=world.jobs,
            reconciler=world.reconciler,
            passes=passes(),
            reconciled=lambda _term: None,
            interval=_LOOK_THROUGH_STORAGE,
            renewals=RenewalWorker(renewals=renewals, interval=_INTERVAL, metrics=worker_metrics(registry)),
        )
        yield Node(seat=seat, world=world, reign=reign, registry=registry)
