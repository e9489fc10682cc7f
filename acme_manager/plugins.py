"""Run the configuration's plugins (guide, "Plugin System"): with their checksum, time limit and environment.

What a plugin writes goes to our log, without the values of its environment, and to nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry, Counter, Histogram

from acme_manager.config.model import Plugin
from acme_manager.confined.program import Program, ProgramRefused
from acme_manager.confined.run import STDERR_KEPT, Completed, OutputTooLarge, run_confined
from acme_manager.errors import AcmeManagerError
from acme_manager.ports import Clock

_log = structlog.get_logger(__name__)

_GRACE = 2.0  # seconds between SIGTERM and SIGKILL
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SHORTEST_SECRET = 4  # shorter values would mask half of the log
_LOGGED = 8192  # characters of standard output, the last ones


class PluginFailed(AcmeManagerError):
    """A plugin could not be run to its end. The message has nothing that it wrote, and is fit for API callers."""


class PluginMetrics:
    """Labels: `plugin` is its name in the configuration; `exit_code` is the program's, or `timeout`, `refused` or
    `output`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Counter(
            "acme_manager_plugin_runs_total", "Runs of plugins.", ["plugin", "action", "exit_code"], registry=registry
        )
        self.seconds = Histogram(
            "acme_manager_plugin_run_seconds",
            "Time that runs of plugins took.",
            ["plugin", "action"],
            registry=registry,
            buckets=_SECONDS,
        )


@attrs.frozen
class LastRun:
    """How a plugin's latest run went, for people."""

    action: str
    at: datetime  # when it began
    seconds: float
    outcome: str  # as the metric's `exit_code`


class PluginRunner:
    """Starts plugins. One for the whole program: it counts their runs, and remembers the latest of each."""

    def __init__(self, metrics: PluginMetrics, clock: Clock) -> None:
        self._metrics, self._clock = metrics, clock
        self.last_runs: dict[str, LastRun] = {}

    async def run(
        self,
        plugin: Plugin,
        action: str,
        arguments: Sequence[str],
        stdin: bytes = b"",
        *,
        interpreter: Sequence[str] = (),
        optional: bool = False,
    ) -> Completed:
        """Run a plugin to its end, whatever its exit code. `action` is what logs and metrics call this run.

        `interpreter` is the command that gets the plugin as its first argument; a plugin of its own right has none.
        `optional`: it may as well fail.

        Raises PluginFailed when it can't be started, takes longer than its `timeout`, or writes too much.
        """
        if not plugin.checksum:
            _log.warning("plugin without checksum is run", plugin=plugin.name, path=str(plugin.path))
        program = Program(
            path=plugin.path,
            checksum=plugin.checksum or None,
            user=plugin.user,
            limits=plugin.limits,
            interpreter=tuple(interpreter),
        )
        at, began, outcome = self._clock.now(), trio.current_time(), "cancelled"
        try:
            with trio.fail_after(plugin.timeout):
                done = await run_confined(program, arguments, env=plugin.env, stdin=stdin, grace=_GRACE)
            outcome = str(done.returncode)
        except trio.TooSlowError:
            outcome = "timeout"
            raise PluginFailed(f"plugin '{plugin.name}' did not end within {plugin.timeout:g} s (timeout)") from None
        except ProgramRefused as error:
            outcome = "refused"
            raise PluginFailed(f"plugin '{plugin.name}' was not run: {error}") from error
        except OutputTooLarge as error:
            outcome = "output"
            raise PluginFailed(f"plugin '{plugin.name}' wrote more than it may, and was ended") from error
        finally:
            seconds = trio.current_time() - began
            self._metrics.runs.labels(plugin.name, action, outcome).inc()
            self._metrics.seconds.labels(plugin.name, action).observe(seconds)
            self.last_runs[plugin.name] = LastRun(action, at, seconds, outcome)
        _report(_log.warning if done.returncode and not optional else _log.debug, plugin, action, done)
        return done


def _report(log: Callable[..., object], plugin: Plugin, action: str, done: Completed) -> None:
    stdout, stderr = (output.decode(errors="replace") for output in (done.stdout, done.stderr))
    if len(done.stderr) >= STDERR_KEPT:
        stderr = stderr.partition("\n")[2]  # half of a secret would not be known for one
    log(
        "plugin ended",
        plugin=plugin.name,
        action=action,
        exit_code=done.returncode,
        stdout=masked(stdout, plugin.env)[-_LOGGED:].strip(),
        stderr=masked(stderr, plugin.env).strip(),
    )


def masked(text: str, env: Mapping[str, str]) -> str:
    """The text without the values that a plugin got in confidence."""
    for value in sorted(env.values(), key=len, reverse=True):
        for line in {value, *value.splitlines()}:
            if len(line) >= _SHORTEST_SECRET:
                text = text.replace(line, "****")
    return text
