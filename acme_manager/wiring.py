"""How the services of a node are built and handed to each other: once, for a node of the ring and for one in memory."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import attrs

from acme_manager.adapters import Ground
from acme_manager.api.cluster import check_ring, describe_ring
from acme_manager.issuance.metrics import IssuanceMetrics
from acme_manager.oidc.provider import OpenIdProviders
from acme_manager.ports import Cluster, SharedMap, Storage
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
from acme_manager.services.health import Check, Findings, Health, in_time
from acme_manager.services.hooks import Hooks
from acme_manager.services.inventory import Inventory
from acme_manager.services.issuers import Issuers
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Jobs
from acme_manager.services.journal import Journal
from acme_manager.services.latest_attempts import LatestAttempts
from acme_manager.services.node_watch import NodeWatch
from acme_manager.services.operation_preview import Previewing
from acme_manager.services.operations import Operations
from acme_manager.services.passes import Passes
from acme_manager.services.plans import Plans
from acme_manager.services.plugins import Plugins
from acme_manager.services.preflight import Preflight
from acme_manager.services.progress import Progress
from acme_manager.services.rate_limits import RateLimits
from acme_manager.services.reconciling import Reconciler
from acme_manager.services.reports import Reports
from acme_manager.services.request_choices import RequestChoices
from acme_manager.services.resync import ResyncMetrics
from acme_manager.services.sessions import Sessions
from acme_manager.services.signals import Signals
from acme_manager.services.spool import Spool
from acme_manager.services.state import State
from acme_manager.services.store import CertificateStore
from acme_manager.services.tokens import Tokens


class Place(Cluster, SharedMap, Protocol):
    """A node's place in the ring: which nodes there are, and what all of them hold a copy of."""


@attrs.frozen(kw_only=True)
class Wired:
    """The services, and what only workers and those who lead need of what is below them."""

    services: Services
    state: State
    jobs: Jobs
    issuing: Issuing
    reconciler: Reconciler


def wire(ground: Ground, storage: Storage, ring: Place, issuers: Issuers, *, storage_health: Check) -> Wired:
    """Everything between the adapters and the API. Nothing of it runs yet."""
    flags, registry, clock = ground.flags, ground.registry, ground.clock
    settings, findings, solvers = ground.settings, ground.findings, ground.solvers
    config = settings.config  # for what needs a restart (config/changes.py): all else is read from `settings`
    state, progress, jobs, prefix = State(ring), Progress(), Jobs(), config.vault.certificate_prefix
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
        return {"storage": await in_time(storage_health), **describe_ring(ring), **issuer_findings}

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
    return Wired(services=services, state=state, jobs=jobs, issuing=issuing, reconciler=reconciler)
