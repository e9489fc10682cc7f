"""The agent as a service: runs at an interval, on signals and when its configuration changes, until it is stopped."""

from __future__ import annotations

import hashlib
import random
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry

from acme_manager.client.flags import ClientFlags
from acme_manager.client.follow import follow
from acme_manager.client.listener import serve_metrics
from acme_manager.client.run import INVALID, UNREACHABLE, Outcome, Runner
from acme_manager.errors import AcmeManagerError, ConfigInvalid
from acme_manager.structure import Bell, lone_error

_log = structlog.get_logger(__name__)

STOP_BUDGET = 25.0  # seconds that a run has to end after SIGTERM
_LOOK = 1.0  # seconds between two looks at the configuration file
_FIRST_RETRY = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


async def serve(runner: Runner, registry: CollectorRegistry) -> None:
    """Keep the host's certificates right until SIGTERM or SIGINT. It starts whatever state the servers are in."""
    agent = Agent(runner=runner, flags=runner.flags)
    with trio.open_signal_receiver(*_SIGNALS) as signals, lone_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_metrics, runner.flags, registry, agent.stopping)
            nursery.start_soon(agent.watch_configuration)
            nursery.start_soon(follow, runner.events, runner.sight, agent.wake)
            if runner.flags.cleanup_enabled:
                nursery.start_soon(agent.call_for_cleanup)
            nursery.start_soon(agent.obey, signals)
            await agent.make_runs()
            nursery.cancel_scope.cancel(reason="the agent has stopped")
    _log.info("stopped")


async def run_once(runner: Runner) -> int:
    """Make one run, and return its exit code. Raises ConfigInvalid."""
    outcome = await runner.run()
    for problem in outcome.problems:
        _log.error("run incomplete", err=problem)
    return outcome.code


@attrs.define(kw_only=True)
class Agent:
    """What wakes the one loop that makes runs: none of it makes one itself, so there is never more than one."""

    runner: Runner
    flags: ClientFlags
    stopping: trio.Event = attrs.field(factory=trio.Event)
    bell: Bell = attrs.field(factory=Bell)
    _forced: bool = False
    _cleanup: bool = False
    _random: random.Random = attrs.field(factory=random.Random)
    _running: trio.CancelScope | None = None

    def wake(self, *, forced: bool = False) -> None:
        """Have a run made now, or right after the present one; `forced` also tries what was given up."""
        self._forced = self._forced or forced
        self.bell.ring()

    async def make_runs(self) -> None:
        """Until stopping; a run that is under way then has STOP_BUDGET seconds to end."""
        failures = 0
        while not self.stopping.is_set():
            forced, cleanup = self._forced, self._cleanup
            self._forced = self._cleanup = False
            with trio.CancelScope() as self._running:
                outcome = await self._run(forced=forced, cleanup=cleanup)
                # A step that failed waits for the interval: it may have cost an order at a CA that counts them.
                failures = failures + 1 if outcome.code == UNREACHABLE else 0
            self._running = None
            if self.stopping.is_set():
                return
            with trio.move_on_after(self.pause(failures)):
                await self.bell.wait()

    def pause(self, failures: int) -> float:
        """Seconds until the next run: without a server sooner than the interval, and for no two agents the same."""
        interval = self.flags.check_config_interval
        if not failures:
            return interval
        return min(interval, _FIRST_RETRY * 2.0 ** min(failures - 1, 10)) * self._random.uniform(0.5, 1)

    async def _run(self, *, forced: bool, cleanup: bool) -> Outcome:
        try:
            outcome = await self.runner.run(forced=forced, cleanup=cleanup)
        except ConfigInvalid as error:
            for complaint in error.complaints:
                _log.error("invalid configuration", source=error.source, where=complaint.where, err=complaint.message)
            return Outcome(problems=["invalid configuration"], code=INVALID)
        except (AcmeManagerError, OSError) as error:
            _log.error("run failed", err=str(error))
            return Outcome(problems=[str(error)], code=INVALID)
        except Exception as error:  # noqa: BLE001 the next run may do better, and certificates must be looked after
            _log.error("run failed", err=f"{type(error).__name__}: {error}", exc_info=error)
            return Outcome(problems=[str(error)], code=INVALID)
        for problem in outcome.problems:
            _log.error("run incomplete", err=problem)
        return outcome

    async def obey(self, signals: AsyncIterator[int]) -> None:
        """SIGUSR1 and SIGHUP: a run now. SIGTERM and SIGINT: the end."""
        async for number in signals:
            if number in {signal.SIGUSR1, signal.SIGHUP}:
                _log.info("run asked for by signal", signal=signal.Signals(number).name)
                self.wake(forced=True)
                continue
            _log.info("stopping", signal=signal.Signals(number).name)
            self.stopping.set()
            self.bell.ring()
            if self._running is not None:
                self._running.deadline = trio.current_time() + STOP_BUDGET

    async def watch_configuration(self) -> None:
        """Wake the loop when the file's content is another. Looking finds every way of replacing it."""
        path = Path(self.flags.config_path)
        known: str | None = None
        while True:
            digest = known  # of a file that can't be read: the next run says what is wrong with it
            with suppress(OSError):
                digest = hashlib.sha256(await trio.to_thread.run_sync(path.read_bytes)).hexdigest()
            if known is not None and digest != known:
                _log.info("configuration changed", path=str(path))
                self.wake(forced=True)
            known = digest
            await trio.sleep(_LOOK)

    async def call_for_cleanup(self) -> None:
        """Have the next run clean up, at the interval."""
        while True:
            await trio.sleep(self.flags.cleanup_interval)
            self._cleanup = True
            self.bell.ring()
