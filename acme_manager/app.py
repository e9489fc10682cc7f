"""The server's composition root: opens every part, in the order in which they need each other.

Nesting is the shutdown order, read backwards: the API answers what is in flight and stops, then the jobs, then the
issuers, then storage; the signal handler goes last.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry

from acme_manager.api.app import ApiSettings, build_app
from acme_manager.api.server import serve as serve_api
from acme_manager.config.model import Config, Flags
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.certificate import CertificateId
from acme_manager.issuance.issuer import open_issuer
from acme_manager.metrics import new_registry
from acme_manager.ports import Step
from acme_manager.services.bundle import Services
from acme_manager.services.certificates import Certificates
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.health import Health
from acme_manager.services.issuers import ConfiguredIssuer, Issuers
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Jobs, open_jobs
from acme_manager.services.journal import Journal
from acme_manager.services.loading import Loader
from acme_manager.services.progress import Progress
from acme_manager.services.spool import Spool
from acme_manager.services.state import State
from acme_manager.services.store import CertificateStore
from acme_manager.services.tokens import Tokens
from acme_manager.storage.vault import VaultStorage, open_vault
from acme_manager.structure import background, lone_error
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
    async with (
        open_vault(config.vault, registry) as storage,
        _open_issuers(config, registry) as (issuers, challenges),
        open_jobs() as jobs,
    ):
        watch = IssuerHealth(issuers)
        services, loader = _assemble(config, flags, registry, storage, issuers, challenges, watch, jobs)
        metrics = WorkerMetrics.on(registry)
        workers = [every(flags.check_issuer_interval, "issuer health", watch.check_all, metrics)]
        with services.progress.watched_by(_log_step):
            async with background(loader.run, *workers), trio.open_nursery() as api:
                app = build_app(services, ApiSettings.from_flags(flags))
                urls = await api.start(partial(serve_api, app, flags, stopping=stopping))
                _log.info("server ready", urls=",".join(urls), instance=services.instance_id)
                if started is not None:
                    started(Running(urls, services))


@asynccontextmanager
async def _open_issuers(config: Config, registry: CollectorRegistry) -> AsyncIterator[tuple[Issuers, HttpChallenges]]:
    challenges = HttpChallenges()
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
        yield Issuers(opened, http_solver=challenges, dns_solver=solvers.solver), challenges


def _assemble(
    config: Config,
    flags: Flags,
    registry: CollectorRegistry,
    storage: VaultStorage,
    issuers: Issuers,
    challenges: HttpChallenges,
    watch: IssuerHealth,
    jobs: Jobs,
) -> tuple[Services, Loader]:
    clock, state, progress = SystemClock(), State(), Progress()
    prefix = config.vault.certificate_prefix
    issuing = Issuing(
        store=CertificateStore(storage, state, prefix),
        journal=Journal(storage, prefix),
        spool=Spool(config.common.rootpath_certificate),
        issuers=issuers,
        progress=progress,
        clock=clock,
        common=config.common,
    )
    certificates = Certificates(state, issuing, jobs)
    tokens = Tokens(storage, state, clock, prefix=config.vault.token_prefix, api_key_hash=config.common.api_key_hash)
    loader = Loader(
        storage=storage,
        state=state,
        certificates=certificates,
        issuing=issuing,
        certificate_prefix=prefix,
        token_prefix=config.vault.token_prefix,
    )
    services = Services(
        certificates=certificates,
        tokens=tokens,
        challenges=challenges,
        health=Health(
            {"storage": storage.health, "state": state.health},
            lambda: {f"issuer {name}": wrong for name, wrong in watch.report().items()},
        ),
        progress=progress,
        clock=clock,
        registry=registry,
        instance_id=flags.ring_instance_id or socket.gethostname(),
    )
    return services, loader


def _log_step(id: CertificateId, step: Step) -> None:
    _log.info("certificate " + step, key=id.key)


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
