from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from acme_manager.config.model import Plugin
from acme_manager.plugins import PluginFailed, PluginMetrics, PluginRunner, masked
from tests.fakes.plugins import plugin
from tests.unit.services.world import FixedClock


class Stage:
    """A runner, and plugins for it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.registry = folder, CollectorRegistry()
        self.runner = PluginRunner(PluginMetrics(self.registry), FixedClock())

    def plugin(self, body: str, **settings: Any) -> Plugin:
        return plugin(self.folder, body, **settings)

    def runs(self, exit_code: str) -> float | None:
        labels = {"plugin": "p", "action": "present", "exit_code": exit_code}
        return self.registry.get_sample_value("acme_manager_plugin_runs_total", labels)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_a_run_is_counted_by_its_exit_code_timed_and_remembered(stage: Stage) -> None:
    done = await stage.runner.run(stage.plugin("exit 7"), "present", [])
    assert done.returncode == 7
    assert stage.runs("7") == 1
    labels = {"plugin": "p", "action": "present"}
    assert stage.registry.get_sample_value("acme_manager_plugin_run_seconds_count", labels) == 1
    last = stage.runner.last_runs["p"]
    assert (last.action, last.outcome, last.at) == ("present", "7", FixedClock().now())


@pytest.mark.parametrize(
    ("body", "settings", "outcome", "words"),
    [
        ("exec sleep 100", {"timeout": 0.1}, "timeout", r"plugin 'p' did not end within 0\.1 s \(timeout\)"),
        ("true", {"checksum": "0" * 64}, "refused", "plugin 'p' was not run: .* is not the file that was checked"),
        ("exec yes planted", {}, "output", "plugin 'p' wrote more than it may, and was ended"),
    ],
)
async def test_one_that_comes_to_no_end_of_its_own_is_told_and_counted(
    stage: Stage, body: str, settings: dict[str, Any], outcome: str, words: str
) -> None:
    with pytest.raises(PluginFailed, match=words) as caught:
        await stage.runner.run(stage.plugin(body, **settings), "present", [])
    assert "planted" not in str(caught.value)
    assert stage.runs(outcome) == 1
    assert stage.runner.last_runs["p"].outcome == outcome


async def test_a_run_that_is_given_up_is_counted_too(stage: Stage) -> None:
    with trio.move_on_after(0.1):
        await stage.runner.run(stage.plugin("exec sleep 100"), "present", [])
    assert stage.runs("cancelled") == 1


async def test_what_it_writes_is_logged_without_the_values_of_its_variables(stage: Stage) -> None:
    env = {"TOKEN": "planted-secret", "KEY": "-----BEGIN-----\nplanted-line\n", "DEBUG": "1"}
    body = 'echo "out $TOKEN"; echo "$KEY" | tail -n 2 >&2; echo "1 error: $TOKEN" >&2; exit 1'
    with capture_logs() as logs:
        await stage.runner.run(stage.plugin(body, env=env), "present", [])
    (line,) = logs
    assert line == {
        "event": "plugin ended",
        "log_level": "warning",
        "plugin": "p",
        "action": "present",
        "exit_code": 1,
        "stdout": "out ****",
        "stderr": "****\n\n1 error: ****",
    }


async def test_half_of_a_secret_is_not_logged_either(stage: Stage) -> None:
    body = 'i=0; while [ $i -lt 700 ]; do echo "$i: $TOKEN" >&2; i=$((i+1)); done'
    with capture_logs() as logs:
        await stage.runner.run(stage.plugin(body, env={"TOKEN": "planted-secret"}), "present", [])
    first, *_, last = logs[0]["stderr"].splitlines()
    assert last == "699: ****"
    assert first.endswith(": ****")
    assert first.removesuffix(": ****").isdecimal()


async def test_one_without_a_checksum_is_warned_of_at_each_run(stage: Stage) -> None:
    unverified = stage.plugin("true", checksum="")
    with capture_logs() as logs:
        for _ in range(2):
            await stage.runner.run(unverified, "present", [])
    warned = [line["plugin"] for line in logs if line["event"] == "plugin without checksum is run"]
    assert warned == ["p", "p"]


def test_a_secret_inside_of_another_is_masked_with_it() -> None:
    assert masked("a=abcdef b=abcd", {"B": "abcd", "A": "abcdef", "SHORT": "a="}) == "a=**** b=****"
