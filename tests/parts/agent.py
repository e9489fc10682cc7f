"""`acme-manager-client` as a process, with a configuration made for the node that it talks to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio
import yaml
from prometheus_client import CollectorRegistry

from acme_manager.cli.goflags import read_or_exit
from acme_manager.client.flags import ClientFlags
from acme_manager.client.metrics import ClientMetrics
from acme_manager.client.run import Outcome, Runner
from acme_manager.clock import SystemClock
from tests.parts.program import Program, new_folder

_ROOT = Path(__file__).parents[2]


@attrs.define(kw_only=True, eq=False)
class Agent:
    """The agent of one host: its configuration, its certificates, and ways to run it."""

    url: str
    token: str = attrs.field(repr=False)
    folder: Path
    content: dict[str, Any] = attrs.field(factory=dict)

    @property
    def certificates(self) -> Path:
        """Where it installs."""
        return self.folder / "certificates"

    def configure(self, *certificates: Mapping[str, Any], **common: Any) -> None:
        """Write its configuration; `common` is added to what it was."""
        self.content["common"] = {
            "certificate_deploy": True,
            "certificate_dir": f"{self.certificates}/",
            **self.content.get("common", {}),
            **common,
        }
        self.content["certificate"] = [dict(one) for one in certificates]
        path = self.folder / "client-config.yml"
        path.with_suffix(".new").write_text(yaml.safe_dump(self.content))
        path.with_suffix(".new").replace(path)

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run the program to its end with these words in front of the flags that say where everything is."""
        with trio.fail_after(120):
            return await trio.run_process(
                [*_ARGV, *arguments, *self._flags],
                env=self._environment,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )

    def runner(self, *flags: str) -> Runner:
        """What makes runs, here: starting a program takes longer than most of them."""
        given = read_or_exit(ClientFlags, "agent", [*self._flags, *flags])
        clock = SystemClock()
        metrics = ClientMetrics(CollectorRegistry(), clock.now)
        return Runner(flags=given, environ=self._environment, metrics=metrics, clock=clock)

    async def once(self, *flags: str, forced: bool = False) -> Outcome:
        """One run."""
        with trio.fail_after(_PATIENCE):
            return await self.runner(*flags).run(forced=forced)

    async def plan(self) -> dict[str, str]:
        """What it would do, by certificate."""
        with trio.fail_after(_PATIENCE):
            async with self.runner().view() as view:
                return {step.identity: str(step.action) for step in view.steps}

    @contextmanager
    def serving(self, *flags: str) -> Iterator[Program]:
        """Run it as a service for the length of a block."""
        program = Program(
            argv=(*_ARGV, *self._flags, *flags),
            folder=new_folder(self.folder, "service"),
            package="acme-manager",
            env=self._environment,
        )
        program.start()
        try:
            yield program
        finally:
            program.kill()

    @property
    def _flags(self) -> tuple[str, ...]:
        return (f"-client.config-path={self.folder}/client-config.yml", f"-client.manager-url={self.url}")

    @property
    def _environment(self) -> dict[str, str]:
        path = os.environ.get("PATH", "/usr/bin:/bin")
        return {"PATH": path, "PYTHONPATH": str(_ROOT), "ACME_MANAGER_TOKEN": self.token}


_PATIENCE = 120.0  # seconds for a run
_ARGV = (sys.executable, "-c", "import sys; from acme_manager.cli.client import main; sys.exit(main())")


def agent_of(folder: Path, url: str, token: str) -> Agent:
    """An agent of a server, without a certificate yet."""
    return Agent(url=f"{url}/api/v1", token=token, folder=new_folder(folder, "agent"))
