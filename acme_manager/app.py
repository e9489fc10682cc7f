"""The server's composition root: opens every part, in the order in which they need each other.

Nesting is the shutdown order, read backwards: the API answers what is in flight and stops, then the jobs, then the
issuers, then storage; the signal handler goes last.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry

from acme_manager.api.app import ApiSettings, build_app
from acme_manager.api.cluster import check_ring, describe_ring
from acme_manager.api.forward import Waits, open_forwarder
from acme_manager.api.server import parse_address
from acme_manager.api.server import serve as serve_api
from acme_manager.config.load import load
from acme_manager.config.model import Config, Flags
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.certificate import CertificateId
from acme_manager.errors import Complaint, ConfigInvalid
from acme_manager.issuance.issuer import open_issuer
from acme_manager.metrics import new_registry
from acme_manager.ports import Step
from acme_manager.ring.cluster import Ring, open_ring
from acme_manager.ring.fencing import StoredFence
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.settings import RingSettings
from acme_manager.ring.transport import UdpTcpTransport
from acme_manager.services.bundle import Services
from acme_manager.services.certificates import Certificates
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.health import Findings, Health, in_time
from acme_manager.services.issuers import ConfiguredIssuer, Issuers
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Jobs
from acme_manager.services.journal import Journal
from acme_manager.services.progress import Progress
from acme_manager.services.reconciling import Reconciler
from acme_manager.services.reign import Reign
from acme_manager.services.spool import Spool
from acme_manager.services.state import State
from acme_manager.services.store import CertificateStore
from acme_manager.services.tokens import Tokens
from acme_manager.storage import keys
from acme_manager.storage.vault import VaultStorage, open_vault
from acme_manager.structure import background, lone_error
from acme_manager.workers.config_watcher import ConfigWatcher
from acme_manager.workers.issuer_health import IssuerHealth
from acme_manager.workers.schedule import WorkerMetrics, every

_log = structlog.get_logger(__name__)

_STOP_BUDGET = 60.0  # seconds; systemd's TimeoutStopSec is 90 s unless set otherwise


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant in UTC."""
        return datetime.now(UTC)  # noqa: TID251 the one adapter that asks


@attrs.frozen
class Running:
    """A server that answers."""

    urls: Sequence[str]
    services: Services


async def serve(config: Config, flags: Flags, *, started: Callable[[Running], None] | None = None) -> None:
    """Run a node until a signal ends it. Whatever crashes inside leaves as its own error."""
    stopping = trio.Event()
    with lone_error():
        async with trio.open_nursery() as outer:
            await outer.start(_watch_signals, stopping)
            await _serve(config, flags, stopping, started)
            outer.cancel_scope.cancel(reason="the server has stopped")


async def _serve(config: Config, flags: Flags, stopping: trio.Event, started: Callable[[Running], None] | None) -> None:
    registry = new_registry("server")
    settings = _ring_settings(config, flags)
    async with (
        open_vault(config.vault, registry) as storage,
        _open_ring(settings, StoredFence(storage, keys.fence_key(config.vault.certificate_prefix)), registry) as ring,
        _open_issuers(config, ring, registry) as issuers,
        open_forwarder(ring, flags, Waits(answer=config.common.cert_timeout + 30)) as forwarder,
    ):
        watch = IssuerHealth(issuers)
        services, state, reign = _assemble(config, flags, registry, storage, ring, issuers, watch)
        metrics = WorkerMetrics.on(registry)
        workers = [
            every(flags.check_issuer_interval, "issuer health", watch.check_all, metrics),
            every(flags.check_config_interval, "config watcher", _watcher(config, flags, ring, registry).look, metrics),
        ]
        leading, following = partial(ring.whenever_leading, reign), partial(state.catch_up, ring)
        with state.following(), services.progress.watched_by(_log_step):
            async with background(leading, following, *workers), trio.open_nursery() as api:
                app = build_app(services, ApiSettings.from_flags(flags), forwarder)
                urls = await api.start(partial(serve_api, app, flags, stopping=stopping))
                _log.info("server ready", urls=",".join(urls), instance=services.instance_id)
                if started is not None:
                    started(Running(urls, services))


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
async def _open_ring(settings: RingSettings, fences: StoredFence, registry: CollectorRegistry) -> AsyncIterator[Ring]:
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
            fences=fences,
            clock=SystemClock(),
            rng=random.Random(),  # noqa: S311 it spreads load, and hides nothing
            registry=registry,
        ) as ring:
            yield ring


def _watcher(config: Config, flags: Flags, ring: Ring, registry: CollectorRegistry) -> ConfigWatcher:
    def load_again() -> Config:
        unverified = flags.allow_unverified_plugins
        return load(flags.config_path, config.environ, allow_unverified_plugins=unverified)

    return ConfigWatcher.on(registry, config, load_again, [lambda changed: ring.set_keyring(_keyring(changed))])


@asynccontextmanager
async def _open_issuers(config: Config, ring: Ring, registry: CollectorRegistry) -> AsyncIterator[Issuers]:
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


def _assemble(
    config: Config,
    flags: Flags,
    registry: CollectorRegistry,
    storage: VaultStorage,
    ring: Ring,
    issuers: Issuers,
    watch: IssuerHealth,
) -> tuple[Services, State, Reign]:
    clock, state, progress, jobs = SystemClock(), State(ring), Progress(), Jobs()
    prefix = config.vault.certificate_prefix
    issuing = Issuing(
        cluster=ring,
        store=CertificateStore(storage, state, prefix),
        journal=Journal(storage, prefix),
        spool=Spool(config.common.rootpath_certificate),
        issuers=issuers,
        progress=progress,
        clock=clock,
        common=config.common,
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

    async def others() -> Findings:
        issuer_findings = {f"issuer {name}": wrong for name, wrong in watch.report().items()}
        return {"storage": await in_time(storage.health), **describe_ring(ring), **issuer_findings}

    services = Services(
        cluster=ring,
        certificates=certificates,
        tokens=Tokens(storage, state, clock, prefix=config.vault.token_prefix, api_key_hash=config.common.api_key_hash),
        challenges=HttpChallenges(ring, ring.leads),
        health=Health({"state": state.health, "ring": partial(check_ring, ring)}, [others]),
        progress=progress,
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
    return services, state, reign


def _log_step(id: CertificateId, step: Step) -> None:
    _log.debug("certificate " + step, key=id.key)


async def _watch_signals(
    stopping: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The first signal stops the server in order, the second at once; so does an orderly stop that takes too long."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if stopping.is_set():
                _log.warning("second signal, exiting at once", signal=signal.Signals(number).name)
                os._exit(128 + number)
            _log.info("stopping", signal=signal.Signals(number).name)
            stopping.set()
            # A system task: an answer that no one reads is shielded from every cancellation of ours.
            trio.lowlevel.spawn_system_task(_exit_when_late)


async def _exit_when_late() -> None:
    await trio.sleep(_STOP_BUDGET)
    _log.error("the stop took too long, exiting", seconds=_STOP_BUDGET)
    os._exit(1)
