"""A whole node in memory: the real services on a dict and a CA that signs at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from prometheus_client import CollectorRegistry

from acme_manager.adapters import Ground
from acme_manager.config.model import Common, Config, DnsConfig, Flags, IssuerConfig, VaultConfig
from acme_manager.config.sources import Sources
from acme_manager.dns.descriptions import Descriptions
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.budget import PRESETS
from acme_manager.domain.request import CertificateParams, TokenParams
from acme_manager.domain.token import Scope, Token, hash_secret
from acme_manager.plugins import PluginMetrics, PluginRunner
from acme_manager.ports import Clock, Storage
from acme_manager.ring.alone import Alone
from acme_manager.services.audit import Audit, AuditMetrics
from acme_manager.services.audit_segments import AuditSegments
from acme_manager.services.budgets import Budgets
from acme_manager.services.bundle import Services
from acme_manager.services.certificates import Certificates
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.counters import Counters
from acme_manager.services.issuer_findings import IssuerFindings
from acme_manager.services.issuers import ConfiguredIssuer, Issuers
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Jobs
from acme_manager.services.operations import Operations
from acme_manager.services.passes import Passes
from acme_manager.services.preflight import Preflight
from acme_manager.services.progress import Progress
from acme_manager.services.rate_limits import RateLimits
from acme_manager.services.reconciling import Reconciler
from acme_manager.services.responders import Responders
from acme_manager.services.settings import Settings
from acme_manager.services.state import State
from acme_manager.services.tokens import Tokens
from acme_manager.storage.memory import MemoryStorage
from acme_manager.structure import Bell
from acme_manager.wiring import wire
from acme_manager.workers.schedule import WorkerMetrics
from tests.fakes.ca import MemoryCa
from tests.fakes.dns import MemoryLookup

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ALICE = Token(id="t-alice", token_hash=hash_secret("s"), username="alice", scope=tuple(Scope))


def settings_with(common: Common, *issuers: IssuerConfig) -> Settings:
    vault = VaultConfig(
        url="http://127.0.0.1",
        role_id="",
        secret_id="",
        secret_engine="secret",
        certificate_prefix="certificates",
        token_prefix="tokens",
    )
    return Settings(Config(common=common, issuers={one.name: one for one in issuers}, vault=vault))


def with_limits(settings: Settings, preset: str, issuer: str = "test") -> Settings:
    """Give an issuer the limits of a preset."""
    limited = attrs.evolve(settings.issuers[issuer], limits=PRESETS[preset])
    settings.config = attrs.evolve(settings.config, issuers={**settings.issuers, issuer: limited})
    return settings


class FixedClock:
    def now(self) -> datetime:
        return NOW


@attrs.define
class MovableClock:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


def nowhere() -> DnsSolvers:
    """The DNS of a host that reaches no resolver."""
    return DnsSolvers(DnsConfig(resolvers=(("127.0.0.1", 1),)), {}, DnsMetrics(CollectorRegistry()))


async def well() -> None:
    """The health of what is always there."""


def passes(cluster: Alone | None = None, clock: Clock | None = None) -> Passes:
    cluster = cluster or Alone()
    return Passes(cluster, cluster, clock or FixedClock())


def worker_metrics(registry: CollectorRegistry) -> WorkerMetrics:
    return WorkerMetrics.on(registry, passes())


def audit_on(
    cluster: Alone | None = None,
    storage: Storage | None = None,
    clock: Clock | None = None,
    registry: CollectorRegistry | None = None,
) -> Audit:
    cluster, clock = cluster or Alone(), clock or FixedClock()
    return Audit(
        cluster=cluster,
        shared=cluster,
        segments=AuditSegments(storage or MemoryStorage(clock), "certificates"),
        clock=clock,
        metrics=AuditMetrics.on(registry or CollectorRegistry()),
        keep=400 * 86400.0,
    )


@attrs.frozen(kw_only=True)
class World:
    cluster: Alone
    services: Services
    budgets: Budgets
    storage: MemoryStorage
    ca: MemoryCa
    state: State
    issuing: Issuing
    certificates: Certificates
    operations: Operations
    tokens: Tokens
    audit: Audit
    challenges: HttpChallenges
    progress: Progress
    counters: Counters
    rate_limits: RateLimits
    registry: CollectorRegistry
    jobs: Jobs
    reconciler: Reconciler
    findings: IssuerFindings


@asynccontextmanager
async def open_world(
    storage: MemoryStorage | None = None,
    *,
    before: Callable[[str], Awaitable[None]] | None = None,
    common: Common | None = None,
    ca: MemoryCa | None = None,
    spool: Path | None = None,
    load: bool = True,
    lead: bool = True,
    clock: Clock | None = None,
    fallback: Mapping[str, MemoryCa] | None = None,
    lookup: MemoryLookup | None = None,
    cluster: Alone | None = None,
    flags: Flags | None = None,
) -> AsyncIterator[World]:
    """`fallback` are the CAs that stand in for the issuer `test`; `lookup` knows the CAA records."""
    fallback = fallback or {}
    storage = storage or MemoryStorage(FixedClock())
    cluster, clock = cluster or Alone(), clock or FixedClock()
    ca, challenges, registry = ca or MemoryCa(before), HttpChallenges(cluster, cluster.leads), CollectorRegistry()
    config = IssuerConfig(
        name="test", ca_dir_url="https://ca.test/dir", http_challenge="kvring", fallback=tuple(fallback)
    )
    others = [IssuerConfig(name=name, ca_dir_url="https://b.test/dir", http_challenge="kvring") for name in fallback]
    bare = IssuerConfig(name="bare", ca_dir_url="https://ca.test/dir")
    common = attrs.evolve(common or Common(), api_key_hash=hash_secret("admin"), rootpath_certificate=spool)
    settings = settings_with(common, config, bare, *others)
    issuers = Issuers(
        {one.name: ConfiguredIssuer(one, fallback.get(one.name, ca)) for one in (config, bare, *others)},
        http_solver=Responders(own={"kvring": challenges}, settings=settings, clock=clock).solver,
        dns_solver=lambda _name, _owner: challenges,
    )
    runner = PluginRunner(PluginMetrics(registry), clock)
    solvers = nowhere()
    if lookup or fallback:
        solvers.lookup = lookup or MemoryLookup({})
    ground = Ground(
        flags=flags or Flags(cleanup=True),
        sources=Sources.of(Flags(), {}),
        settings=settings,
        registry=registry,
        clock=clock,
        plugins=runner,
        descriptions=Descriptions(runner),
        solvers=solvers,
        findings=IssuerFindings(clock, registry),
        hangup=Bell(),
        issuers_changed=Bell(),
    )
    wired = wire(ground, storage, cluster, issuers, storage_health=well)
    state, services = wired.state, wired.services
    with state.following(), services.budgets.following(), services.attempts.following(), services.audit.following():
        world = World(
            cluster=cluster,
            services=services,
            budgets=services.budgets,
            storage=storage,
            ca=ca,
            state=state,
            issuing=wired.issuing,
            certificates=services.certificates,
            operations=services.operations,
            tokens=services.tokens,
            audit=services.audit,
            challenges=challenges,
            progress=services.progress,
            counters=services.counters,
            rate_limits=services.rate_limits,
            registry=registry,
            jobs=wired.jobs,
            reconciler=wired.reconciler,
            findings=ground.findings,
        )
        async with world.jobs.open() if lead else nullcontext():
            if load:
                await world.reconciler.take_over()
                state.announce_complete(cluster.stamp())
            yield world


def preflight(world: World, dns: DnsSolvers | None = None, **changes: Any) -> Preflight:
    """A look ahead on a node; unless told otherwise, of a host that reaches no resolver."""
    ready = Preflight(
        cluster=world.cluster,
        state=world.state,
        jobs=world.jobs,
        issuers=world.issuing.issuers,
        dns=dns or nowhere(),
        settings=world.issuing.settings,
        budgets=world.budgets,
        clock=world.issuing.clock,
    )
    return attrs.evolve(ready, **changes)


def wish(**changes: Any) -> CertificateParams:
    return attrs.evolve(CertificateParams(domain="example.com", issuer="test"), **changes)


def token_wish(**changes: Any) -> TokenParams:
    return attrs.evolve(TokenParams(username="bob", scope=("read",)), **changes)
