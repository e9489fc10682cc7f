"""The shipped plugins as processes, and name servers in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import attrs
import trio

from acme_manager.dns.shipped import plugin_file

NAME = "_acme-challenge.www.example.test."
VALUE = "v" * 43
SECRET = ("KEY", "TOKEN", "PASSWORD")  # in the names of variables


@attrs.frozen
class Outcome:
    """How a run ended. `said` is the document on its standard output."""

    code: int
    said: dict[str, Any]
    stderr: str

    @property
    def error(self) -> str:
        return str(self.said.get("error", ""))

    @property
    def cause(self) -> str:
        return str(self.said.get("cause", ""))


async def run(
    plugin: str, action: str, *arguments: str, env: Mapping[str, str], stdin: Mapping[str, str] | None = None
) -> Outcome:
    """Run a plugin with this environment and no other. Whatever it does, it shows no secret."""
    done = await trio.run_process(
        [sys.executable, "-I", str(plugin_file(plugin)), action, *arguments],
        env=dict(env),
        stdin=json.dumps(stdin or {}).encode(),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    stdout, stderr = done.stdout.decode(), done.stderr.decode()
    for name, value in env.items():
        if value and any(word in name for word in SECRET) and not name.endswith("_FILE"):
            assert value not in stdout + stderr
    assert "Traceback" not in stderr, stderr
    return Outcome(done.returncode, json.loads(stdout or "{}"), stderr)


async def good(plugin: str, action: str, *arguments: str, env: Mapping[str, str]) -> None:
    """A run that does what it was asked for."""
    outcome = await run(plugin, action, *arguments, env=env)
    assert (outcome.code, outcome.said, outcome.stderr) == (0, {}, "")


@attrs.frozen
class Zones:
    """A name server in memory."""

    zones: tuple[str, ...] = ("example.test", "auth.test")
    records: dict[str, list[str]] = attrs.field(factory=dict)  # values by name

    async def add(self, zone: str, name: str, rdtype: str, value: str) -> None:
        assert zone in self.zones
        self.records.setdefault(name, []).append(value)

    async def remove(self, zone: str, name: str, rdtype: str, *values: str) -> None:
        left = [one for one in self.records.pop(name, []) if values and one not in values]
        if left:
            self.records[name] = left
