"""How the parts of a node are built and handed to each other; app.py says which lives inside which."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from ipaddress import ip_address

import attrs
from prometheus_client import CollectorRegistry

from acme_manager.api.cluster import check_ring, describe_ring
from acme_manager.api.server import parse_address
from acme_manager.clock import SystemClock
from acme_manager.config.load import load
from acme_manager.config.model import Config, Flags
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.solver import DnsSolvers
from acme_manager.errors import Complaint, ConfigInvalid
from acme_manager.issuance.issuer import open_issuer
from acme_manager.ring.cluster import Ring, open_ring
from acme_manager.ring.fencing import StoredFence
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.settings import RingSettings
from acme_manager.ring.transport import UdpTcpTransport
from acme_manager.services.bundle import Services
from acme_manager.services.certificates import Certificates
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.cleanup import Cleanup
from acme_manager.services.cleanup_notes import CleanupNotes
from acme_manager.services.cleanup_survey import Survey, rules_of
from acme_manager.services.counters import Counters
from acme_manager.services.health import Findings, Health, in_time
from acme_manager.services.inventory import Inventory
from acme_manager.services.issuer_findings import IssuerFindings
from acme_manager.services.issuers import ConfiguredIssuer, Issuers
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Jobs
from acme_manager.services.journal import Journal
from acme_manager.services.progress import Progress
from acme_manager.services.reconciling import Reconciler
from acme_manager.services.reign import Reign
from acme_manager.services.settings import Settings
from acme_manager.services.spool import Spool
from acme_manager.services.state import State
from acme_manager.services.store import CertificateStore
from acme_manager.services.tokens import Tokens
from acme_manager.storage import keys
from acme_manager.storage.vault import VaultStorage
from acme_manager.workers.cleanup import CleanupWorker
from acme_manager.workers.config_watcher import ConfigWatcher
from acme_manager.workers.issuer_health import IssuerHealth
from acme_manager.workers.schedule import WorkerMetrics, every


def _ring_settings(config: Config, flags: Flags) -> RingSettings:
    settings = RingSettings.from_flags(flags, api_url="", keyring=_keyring(config))
    host, port = parse_address(flags.listen_address)
    if not port:
        return settings  # nobody can know it before it is bound; such a node can only be alone
    host = settings.place.host if host is None or ip_address(host).is_unspecified else host
    scheme = "https" if flags.tls_cert_file else "http"
    return attrs.evolve(settings, api_url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")


def _keyring(config: Config) -> Keyring | None:
    return Keyring.from_base64(*config.common.ring_keys) if config.common.ring_keys else None


@asynccontextmanager
async def open_node_ring(
    config: Config, flags: Flags, storage: VaultStorage, registry: CollectorRegistry
) -> AsyncIterator[Ring]:
    """This node's part of the ring. Raises ConfigInvalid when it can't listen there."""
    settings = _ring_settings(config, flags)
    try:
        bound = UdpTcpTransport.bind(*settings.place.bind)
    except OSError as error:
        where = "{}:{}".format(*settings.place.bind)
        complaint = Complaint("-ring.instance-addr", f"the ring can't listen on {where} (-ring.instance-port): {error}")
        raise ConfigInvalid("command line", [complaint]) from error
    with bound as transport:
        async with open_ring(
            settings,
            transport=transport,
            fences=StoredFence(storage, keys.fence_key(config.vault.certificate_prefix)),
            clock=SystemClock(),
            rng=random.Random(),  # noqa: S311 it spreads load, and hides nothing
            registry=registry,
        ) as ring:
            yield ring


def _config_watcher(config: Config, flags: Flags, ring: Ring, registry: CollectorRegistry) -> ConfigWatcher:
    def load_again() -> Config:
        unverified = flags.allow_unverified_plugins
        return load(flags.config_path, config.environ, allow_unverified_plugins=unverified)

    return ConfigWatcher.on(registry, config, load_again, [lambda changed: ring.set_keyring(_keyring(changed))])


@asynccontextmanager
async def open_issuers(config: Config, ring: Ring, registry: CollectorRegistry) -> AsyncIterator[Issuers]:
    """The CAs of the configuration."""
    solvers = DnsSolvers(config.dns, config.environ, DnsMetrics(registry))
    async with AsyncExitStack() as stack:
        opened = {
            name: ConfiguredIssuer(
                settings,
                await stack.enter_async_context(
                    open_issuer(settings, config.common, config.environ, registry, SystemClock())
                ),
            )
            for name, settings in config.issuers.items()
        }
        yield Issuers(opened, http_solver=HttpChallenges(ring, ring.leads), dns_solver=solvers.solver)


@attrs.frozen(kw_only=True)
class Node:
    """What runs between the adapters and the API."""

    services: Services
    state: State
    reign: Reign
    workers: Sequence[Callable[[], Awaitable[None]]]


def assemble(
    config: Config,
    flags: Flags,
    registry: CollectorRegistry,
    storage: VaultStorage,
    ring: Ring,
    issuers: Issuers,
) -> Node:
    """Everything above the adapters. Nothing of it runs yet."""
    settings = Settings(config)
    clock, state, progress, jobs = SystemClock(), State(ring), Progress(), Jobs()
    counters = Counters(ring, state, progress, clock)
    findings, prefix = IssuerFindings(clock, registry), config.vault.certificate_prefix
    issuing = Issuing(
        cluster=ring,
        store=CertificateStore(storage, state, prefix),
        journal=Journal(storage, prefix),
        spool=Spool(config.common.rootpath_certificate),
        issuers=issuers,
        progress=progress,
        clock=clock,
        settings=settings,
    )
    certificates = Certificates(state, issuing, jobs)
    reconciler = Reconciler(
        storage=storage,
        state=state,
        jobs=jobs,
        certificates=certificates,
        issuing=issuing,
        certificate_prefix=prefix,
        token_prefix=config.vault.token_prefix,
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

    services = Services(
        cluster=ring,
        certificates=certificates,
        tokens=Tokens(storage, state, clock, settings, prefix=config.vault.token_prefix),
        cleanup=cleanup,
        challenges=HttpChallenges(ring, ring.leads),
        health=Health({"state": state.health, "ring": partial(check_ring, ring)}, [others]),
        issuers=issuers,
        issuer_findings=findings,
        progress=progress,
        counters=counters,
        inventory=Inventory(state, counters, clock),
        clock=clock,
        registry=registry,
        instance_id=ring.name,
    )
    reign = Reign(
        cluster=ring,
        state=state,
        jobs=jobs,
        reconciler=reconciler,
        reconciled=ring.reconciled,
        interval=flags.check_renewal_interval,
    )
    metrics = WorkerMetrics.on(registry)
    watcher = _config_watcher(config, flags, ring, registry)
    workers = [
        counters.run,
        every(flags.check_issuer_interval, "issuer health", IssuerHealth(issuers, findings).check_all, metrics),
        every(flags.check_config_interval, "config watcher", watcher.look, metrics),
    ]
    if flags.cleanup:
        cleaner = CleanupWorker(cleanup=cleanup, interval=flags.cleanup_interval, metrics=metrics)
        workers.append(partial(ring.whenever_leading, cleaner))
    return Node(services=services, state=state, reign=reign, workers=workers)
