"""The one shape of a worker: a round now and then, for as long as the node runs."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry, Counter, Gauge

from acme_manager.services.passes import Figures, Passes
from acme_manager.structure import Bell

_log = structlog.get_logger(__name__)


@attrs.frozen
class WorkerMetrics:
    """What is noted about rounds: figures for Prometheus, and the last one for people."""

    passes: Passes
    failures: Counter  # worker
    last_success: Gauge  # worker; Unix time, 0 before the first; only while it runs, which on some nodes it does not
    interval: Gauge  # worker; seconds, likewise: with it an alert can tell when a round is missing

    @classmethod
    def on(cls, registry: CollectorRegistry, passes: Passes) -> WorkerMetrics:
        """Register them."""
        return cls(
            passes,
            Counter("acme_manager_worker_failures", "Rounds that failed", ["worker"], registry=registry),
            Gauge(
                "acme_manager_worker_last_success_timestamp_seconds",
                "When a round last ended well; 0 before the first",
                ["worker"],
                registry=registry,
            ),
            Gauge(
                "acme_manager_worker_interval_seconds",
                "From round to round, while it runs",
                ["worker"],
                registry=registry,
            ),
        )


def every(
    period: float,
    name: str,
    work: Callable[[], Awaitable[Figures | None]],
    metrics: WorkerMetrics,
    sooner: Bell | None = None,
    *,
    leader_only: bool = False,
) -> Callable[[], Awaitable[None]]:
    """A loop that does `work` at once and then every `period` seconds; a slow round delays the next, and skips none.

    A round that fails is logged and counted, and the loop goes on. `sooner`, when it rings, has the next round come.
    What is `leader_only` is to be known on every node.
    """
    noted = functools.partial(metrics.passes.noted, name, period, leader_only=leader_only)
    return functools.partial(_loop, period, name, work, metrics, noted, sooner or Bell())


async def _loop(
    period: float,
    name: str,
    work: Callable[[], Awaitable[Figures | None]],
    metrics: WorkerMetrics,
    noted: Callable[[], AbstractContextManager[dict[str, int]]],
    sooner: Bell,
) -> None:
    failures, last_success = metrics.failures.labels(name), metrics.last_success.labels(name)
    metrics.interval.labels(name).set(period)
    try:
        while True:
            began = trio.current_time()
            try:
                with noted() as figures:
                    figures.update(await work() or {})
            except Exception as error:  # noqa: BLE001 whatever it was, the next round may be better
                failures.inc()
                _log.exception("worker round failed", worker=name, error=str(error), next_in=period)
            else:
                last_success.set_to_current_time()
            with trio.move_on_at(began + period):
                await sooner.wait()
            await trio.lowlevel.checkpoint()
    finally:
        metrics.last_success.remove(name)
        metrics.interval.remove(name)
