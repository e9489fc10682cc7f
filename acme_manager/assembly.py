"""What a node runs between its adapters and the API: services, workers, what leads. app.py nests their lifetimes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import attrs

from acme_manager.adapters import Ground, keyring
from acme_manager.ring.cluster import Ring
from acme_manager.services.asking import Asking
from acme_manager.services.bundle import Services
from acme_manager.services.issuer_keeper import IssuerKeeper
from acme_manager.services.operation_rounds import OperationRounds
from acme_manager.services.reconfiguring import Follower
from acme_manager.services.reign import Reign
from acme_manager.services.renewal_metrics import RenewalMetrics
from acme_manager.services.renewals import Renewals
from acme_manager.services.revoking import Revoking
from acme_manager.services.signals import CLUSTER
from acme_manager.services.state import State
from acme_manager.storage.vault import VaultStorage
from acme_manager.wiring import wire
from acme_manager.workers.cleanup import CleanupWorker
from acme_manager.workers.config_watcher import ConfigWatcher
from acme_manager.workers.issuer_health import IssuerHealth
from acme_manager.workers.map_upkeep import MapUpkeep
from acme_manager.workers.operations import OperationWorker
from acme_manager.workers.renewal import RenewalWorker
from acme_manager.workers.schedule import WorkerMetrics, every
from acme_manager.workers.token_expiry import TokenExpiry

_HEALTH_INTERVAL = 5.0  # seconds: pages show what was found last
_UPKEEP_INTERVAL = 3600.0  # seconds, as in the Go original


@attrs.frozen(kw_only=True)
class Node:
    """What runs between the adapters and the API."""

    services: Services
    state: State
    reign: Reign
    workers: Sequence[Callable[[], Awaitable[None]]]


def assemble(ground: Ground, storage: VaultStorage, ring: Ring, keeper: IssuerKeeper) -> Node:
    """Everything above the adapters. Nothing of it runs yet."""
    flags, settings, clock, registry = ground.flags, ground.settings, ground.clock, ground.registry
    ground.solvers.secrets.storage = storage
    wired = wire(ground, storage, ring, keeper.issuers, storage_health=storage.health)
    services, state, jobs, issuing = wired.services, wired.state, wired.jobs, wired.issuing
    audit = services.audit
    metrics, interval = WorkerMetrics.on(registry, services.passes), flags.check_renewal_interval
    renewals = Renewals(
        state=state,
        plans=services.plans,
        asking=Asking(state, issuing.store, keeper.issuers, clock),
        certificates=services.certificates,
        budget=services.budgets,
        settings=settings,
        clock=clock,
        metrics=RenewalMetrics.on(registry),
        interval=interval,
    )
    rounds = OperationRounds(
        operations=services.operations,
        state=state,
        jobs=jobs,
        issuing=issuing,
        certificates=services.certificates,
        renewals=renewals,
        revoking=Revoking(state=state, certificates=services.certificates, settings=settings, clock=clock),
        clock=clock,
        items=OperationRounds.gauge(registry),
    )

    async def look_at_health() -> None:
        if await services.health.look():
            services.signals.announce(CLUSTER)

    reign = Reign(
        cluster=ring,
        state=state,
        jobs=jobs,
        reconciler=wired.reconciler,
        passes=services.passes,
        reconciled=ring.reconciled,
        interval=interval,
        renewals=RenewalWorker(renewals=renewals, interval=interval, metrics=metrics),
        beside=(OperationWorker(rounds=rounds, metrics=metrics),),
    )
    ring_keys = Follower(lambda changed: ring.set_keyring(keyring(changed)))
    described = Follower(ground.descriptions.go_by)
    parts = (ground.solvers, described, keeper, ring_keys, storage)  # a login is the last that is tried
    watcher = ConfigWatcher(settings, ground.sources.read, parts, registry, ground.hangup, audit)
    expiry = TokenExpiry(services.tokens, ring, registry, audit)
    health = IssuerHealth(keeper.issuers, ground.findings)
    upkeep = MapUpkeep(
        ring,
        services.rate_limits,
        services.counters,
        services.attempts,
        services.reports,
        services.sessions,
        services.passes,
        services.fetches,
    )
    workers: list[Callable[[], Awaitable[None]]] = [
        services.counters.run,
        services.catalogue.run,
        services.signals.run,
        services.passes.run,
        services.fetches.run,
        services.node_watch.run,
        ground.descriptions.run,
        every(_HEALTH_INTERVAL, "health", look_at_health, metrics),
        every(flags.check_issuer_interval, "issuer health", health.check_all, metrics, ground.issuers_changed),
        every(flags.check_token_interval, "token expiry", expiry.look, metrics),
        partial(ring.whenever_leading, audit),
        every(_UPKEEP_INTERVAL, "audit upkeep", audit.forget_old, metrics, leader_only=True),
        every(_UPKEEP_INTERVAL, "map upkeep", upkeep.look, metrics, leader_only=True),
        every(flags.check_config_interval, "config watcher", watcher.look, metrics, ground.hangup),
    ]
    if flags.cleanup:
        cleaner = CleanupWorker(cleanup=services.cleanup, interval=flags.cleanup_interval, metrics=metrics)
        workers.append(partial(ring.whenever_leading, cleaner))
    return Node(services=services, state=state, reign=reign, workers=workers)
