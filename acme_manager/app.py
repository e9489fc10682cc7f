"""The server from start to stop: opens every part, in the order in which they need each other.

Nesting is the shutdown order, read backwards: the API answers what is in flight and stops, then the jobs, then the
issuers, then storage; the signal handler goes last.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from functools import partial

import attrs
import structlog
import trio

from acme_manager.adapters import Ground, open_issuers, open_node_ring
from acme_manager.api.app import ApiSettings
from acme_manager.api.forward import Waits, open_forwarder
from acme_manager.api.server import serve as serve_api
from acme_manager.assembly import assemble
from acme_manager.config.model import Config, Flags
from acme_manager.config.sources import Sources
from acme_manager.domain.certificate import CertificateId
from acme_manager.ports import Step
from acme_manager.services.bundle import Services
from acme_manager.services.tls_challenges import TlsChallenges
from acme_manager.storage.vault import open_vault
from acme_manager.structure import Bell, background, lone_error
from acme_manager.web.site import build_site

_log = structlog.get_logger(__name__)

_STOP_BUDGET = 60.0  # seconds; systemd's TimeoutStopSec is 90 s unless set otherwise


@attrs.frozen
class Running:
    """A server that answers."""

    urls: Sequence[str]
    services: Services


async def serve(
    config: Config,
    flags: Flags,
    *,
    sources: Sources | None = None,
    started: Callable[[Running], None] | None = None,
) -> None:
    """Run a node until a signal ends it. Whatever crashes inside leaves as its own error.

    `sources` are where the configuration is read from while the node runs, by default those that the flags name.
    """
    stopping, hangup = trio.Event(), Bell()
    ground = Ground.of(config, flags, sources or Sources.of(flags, os.environ), hangup)
    with lone_error():
        async with trio.open_nursery() as outer:
            await outer.start(_watch_signals, stopping, hangup)
            await _serve(ground, stopping, started)
            outer.cancel_scope.cancel(reason="the server has stopped")


async def _serve(ground: Ground, stopping: trio.Event, started: Callable[[Running], None] | None) -> None:
    settings, flags = ground.settings, ground.flags
    async with (
        open_vault(settings.vault, ground.registry) as storage,
        open_node_ring(ground, storage) as ring,
        open_issuers(ground, storage, ring) as keeper,
        open_forwarder(ring, flags, lambda: Waits(answer=settings.common.cert_timeout + 30)) as forwarder,
    ):
        node = assemble(ground, storage, ring, keeper)
        leading, following = partial(ring.whenever_leading, node.reign), partial(node.state.catch_up, ring)
        pages, polls = node.services.signals, node.services.changes
        closing = (partial(polls.close_when, stopping), partial(pages.close_when, stopping))
        with (
            node.state.following(),
            node.services.budgets.following(),
            node.services.attempts.following(),
            node.services.audit.following(),
            node.services.changes.following(),
            node.services.signals.following(),
            node.services.reports.following(),
            node.services.fetches.following(),
            node.services.catalogue.following(),
            node.services.progress.watched_by(_log_step),
        ):
            async with background(leading, following, *closing, *node.workers), trio.open_nursery() as api:
                validation = TlsChallenges(ring, ring.leads).certificate
                app = build_site(node.services, ApiSettings.from_flags(flags), forwarder)
                urls = await api.start(partial(serve_api, app, flags, stopping=stopping, validation=validation))
                _log.info("server ready", urls=",".join(urls), instance=node.services.instance_id)
                if started is not None:
                    started(Running(urls, node.services))


def _log_step(id: CertificateId, step: Step) -> None:
    _log.debug("certificate " + step, key=id.key)


async def _watch_signals(
    stopping: trio.Event, hangup: Bell, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The first signal stops the server in order, the second at once; so does an orderly stop that takes too long.

    SIGHUP has the configuration looked at.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGHUP:
                hangup.ring()
                continue
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
