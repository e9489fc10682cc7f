"""How the services of a node are built on its adapters and handed to each other; app.py nests their lifetimes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import attrs

from acme_manager.adapters import Ground, keyring
from acme_manager.api.cluster import check_ring, describe_ring
from acme_manager.issuance.metrics import IssuanceMetrics
from acme_manager.oidc.provider import OpenIdProviders
from acme_manager.ring.cluster import Ring
from acme_manager.services.asking import Asking
from acme_manager.services.attempts import Attempts
from acme_manager.services.audit import Audit, AuditMetrics
from acme_manager.services.audit_segments import AuditSegments
from acme_manager.services.budget_report import BudgetCollector
from acme_manager.services.budgets import Budgets
from acme_manager.services.bundle import Services
from acme_manager.services.catalogue import Catalogue
from acme_manager.services.certificates import Certificates
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.changes import Changes
from acme_manager.services.cleanup import Cleanup
from acme_manager.services.cleanup_notes import CleanupNotes
from acme_manager.services.cleanup_survey import Survey, rules_of
from acme_manager.services.counters import Counters
from acme_manager.services.fallback import Fallback
from acme_manager.services.fetches import Fetches
from acme_manager.services.health import Findings, Health, in_time
from acme_manager.services.hooks import Hooks
from acme_manager.services.inventory import Inventory
from acme_manager.services.issuer_keeper import IssuerKeeper
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Jobs
from acme_manager.services.journal import Journal
from acme_manager.services.latest_attempts import LatestAttempts
from acme_manager.services.node_watch import NodeWatch
from acme_manager.services.operation_preview import Previewing
from acme_manager.services.operation_rounds import OperationRounds
from acme_manager.services.operations import Operations
from acme_manager.services.passes import Passes
from acme_manager.services.plans import Plans
from acme_manager.services.plugins import Plugins
from acme_manager.services.preflight import Preflight
from acme_manager.services.progress import Progress
from acme_manager.services.rate_limits import RateLimits
from acme_manager.services.reconciling import Reconciler
from acme_manager.services.reconfiguring import Follower
from acme_manager.services.reign import Reign
from acme_manager.services.renewal_metrics import RenewalMetrics
from acme_manager.services.renewals import Renewals
from acme_manager.services.reports import Reports
from acme_manager.services.request_choices import RequestChoices
from acme_manager.services.resync import ResyncMetrics
from acme_manager.services.revoking import Revoking
from acme_manager.services.sessions import Sessions
from acme_manager.services.signals import CLUSTER, Signals
from acme_manager.services.spool import Spool
from acme_manager.services.state import State
from acme_manager.services.store import CertificateStore
from acme_manager.services.tokens import Tokens
from acme_manager.storage.vault import VaultStorage
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
    budgets: Budgets
    reign: Reign
    workers: Sequence[Callable[[], Awaitable[None]]]


def assemble(ground: Ground, storage: VaultStorage, ring: Ring, keeper: IssuerKeeper) -> Node:
    """Everything above the adapters. Nothing of it runs yet."""
    flags, registry, clock = ground.flags, ground.registry, ground.clock
    settings, findings, issuers, solvers = ground.settings, ground.findings, keeper.issuers, ground.solvers
    config = settings.config  # for what needs a restart (config/changes.py): all else is read from `settings`
    state, progress, jobs, prefix = State(ring), Progress(), Jobs(), config.vault.certificate_prefix
    solvers.secrets.storage = storage
    attempts = Attempts(ring, progress, clock)
    counters, reports = Counters(ring, state, progress, clock), Reports(ring, clock)
    passes, fetches = Passes(ring, ring, clock), Fetches(ring, ring, state, clock)
    budgets = Budgets(settings, ring, clock)
    BudgetCollector.on(registry, budgets)
    issuing = Issuing(
        cluster=ring,
        store=CertificateStore(storage, state, prefix),
        journal=Journal(storage, prefix),
        spool=Spool(config.common.rootpath_certificate),
        issuers=issuers,
        budgets=budgets,
        progress=progress,
        attempts=attempts,
        clock=clock,
        settings=settings,
        fallback=Fallback(settings=settings, issuers=issuers, dns=solvers),
        hooks=Hooks(settings=settings, runner=ground.plugins),
    )
    rate_limits = RateLimits(ring, state, progress, clock, settings, registry)
    certificates, plans = Certificates(state, issuing, jobs, rate_limits), Plans(state, settings, clock)
    operations = Operations(
        cluster=ring,
        storage=storage,
        state=state,
        previewing=Previewing(
            state=state,
            budgets=budgets,
            settings=settings,
            seconds_per_order=IssuanceMetrics.on(registry).seconds_per_order,
        ),
        clock=clock,
        prefix=prefix,
    )
    reconciler = Reconciler(
        storage=storage,
        state=state,
        jobs=jobs,
        certificates=certificates,
        issuing=issuing,
        operations=operations,
        certificate_prefix=prefix,
        token_prefix=config.vault.token_prefix,
        metrics=ResyncMetrics(registry),
    )

    cleanup = Cleanup(
        cluster=ring,
        survey=Survey(
            storage=storage,
            clock=clock,
            rules=lambda: rules_of(flags, issuers.names()),
            certificate_prefix=prefix,
            token_prefix=config.vault.token_prefix,
        ),
        notes=CleanupNotes(ring),
        issuing=issuing,
        jobs=jobs,
        state=state,
        actions=Cleanup.counter(registry),
        enabled=flags.cleanup,
    )

    async def others() -> Findings:
        issuer_findings = {f"issuer {name}": found.error or None for name, found in findings.all().items()}
        return {"storage": await in_time(storage.health), **describe_ring(ring), **issuer_findings}

    audit = Audit(
        cluster=ring,
        shared=ring,
        segments=AuditSegments(storage, prefix),
        clock=clock,
        metrics=AuditMetrics.on(registry),
        keep=flags.audit_keep,
    )
    tokens = Tokens(storage, state, clock, settings, prefix=config.vault.token_prefix)
    sessions = Sessions(storage=storage, shared=ring, state=state, tokens=tokens, settings=settings, clock=clock)
    services = Services(
        cluster=ring,
        certificates=certificates,
        plans=plans,
        tokens=tokens,
        sessions=sessions,
        oidc=OpenIdProviders(clock),
        cleanup=cleanup,
        operations=operations,
        challenges=HttpChallenges(ring, ring.leads),
        preflight=Preflight(
            cluster=ring,
            state=state,
            jobs=jobs,
            issuers=issuers,
            dns=solvers,
            settings=settings,
            budgets=budgets,
            clock=clock,
        ),
        request_choices=RequestChoices(
            state=state, settings=settings, issuers=issuers, findings=findings, budgets=budgets, dns=solvers
        ),
        plugins=Plugins(settings=settings, runner=ground.plugins, descriptions=ground.descriptions),
        health=Health({"state": state.health, "ring": partial(check_ring, ring)}, [others]),
        issuers=issuers,
        budgets=budgets,
        issuer_findings=findings,
        progress=progress,
        attempts=attempts,
        audit=audit,
        changes=Changes(state, clock),
        signals=Signals(state, ring, ring, findings),
        reports=reports,
        passes=passes,
        node_watch=NodeWatch(ring, ring, settings),
        fetches=fetches,
        counters=counters,
        inventory=Inventory(state, counters, plans, reports, clock),
        catalogue=Catalogue(
            state=state,
            plans=plans,
            attempts=LatestAttempts(ring),
            reports=reports,
            settings=settings,
            clock=clock,
        ),
        rate_limits=rate_limits,
        resync=reconciler.round,
        settings=settings,
        clock=clock,
        registry=registry,
        instance_id=ring.name,
    )
    metrics, interval = WorkerMetrics.on(registry, passes), flags.check_renewal_interval
    renewals = Renewals(
        state=state,
        plans=plans,
        asking=Asking(state, issuing.store, issuers, clock),
        certificates=certificates,
        budget=budgets,
        settings=settings,
        clock=clock,
        metrics=RenewalMetrics.on(registry),
        interval=interval,
    )
    rounds = OperationRounds(
        operations=operations,
        state=state,
        jobs=jobs,
        issuing=issuing,
        certificates=certificates,
        renewals=renewals,
        revoking=Revoking(state=state, certificates=certificates, settings=settings, clock=clock),
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
        reconciler=reconciler,
        passes=passes,
        reconciled=ring.reconciled,
        interval=interval,
        renewals=RenewalWorker(renewals=renewals, interval=interval, metrics=metrics),
        beside=(OperationWorker(rounds=rounds, metrics=metrics),),
    )
    ring_keys = Follower(lambda changed: ring.set_keyring(keyring(changed)))
    described = Follower(ground.descriptions.go_by)
    parts = (solvers, described, keeper, ring_keys, storage)  # a login is the last that is tried
    watcher = ConfigWatcher(settings, ground.sources.read, parts, registry, ground.hangup, audit)
    health = IssuerHealth(issuers, findings)
    upkeep = MapUpkeep(ring, rate_limits, counters, attempts, reports, sessions, passes, fetches)
    workers: list[Callable[[], Awaitable[None]]] = [
        counters.run,
        services.catalogue.run,
        services.signals.run,
        passes.run,
        fetches.run,
        services.node_watch.run,
        ground.descriptions.run,
        every(_HEALTH_INTERVAL, "health", look_at_health, metrics),
        every(flags.check_issuer_interval, "issuer health", health.check_all, metrics, ground.issuers_changed),
        every(flags.check_token_interval, "token expiry", TokenExpiry(tokens, ring, registry, audit).look, metrics),
        partial(ring.whenever_leading, audit),
        every(_UPKEEP_INTERVAL, "audit upkeep", audit.forget_old, metrics, leader_only=True),
        every(_UPKEEP_INTERVAL, "map upkeep", upkeep.look, metrics, leader_only=True),
        every(flags.check_config_interval, "config watcher", watcher.look, metrics, ground.hangup),
    ]
    if flags.cleanup:
        cleaner = CleanupWorker(cleanup=cleanup, interval=flags.cleanup_interval, metrics=metrics)
        workers.append(partial(ring.whenever_leading, cleaner))
    return Node(services=services, state=state, budgets=budgets, reign=reign, workers=workers)
