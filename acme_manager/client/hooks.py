"""Commands around a run: before anything changes on the server, and after files have changed on this host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs
import structlog
import trio

from acme_manager.client.apply import Done
from acme_manager.client.commands import Command, run_command
from acme_manager.client.install import InstallRefused
from acme_manager.client.metrics import ClientMetrics
from acme_manager.client.model import Common, Wanted
from acme_manager.client.notebook import Notebook
from acme_manager.client.plan import Action, Step
from acme_manager.client.versions import Versions
from acme_manager.domain.keys import fingerprint

_log = structlog.get_logger(__name__)
_ON_SERVER = frozenset({Action.CREATE, Action.REMAKE, Action.CHANGE, Action.DELETE})


@attrs.frozen(kw_only=True)
class Hooks:
    """Each method returns what went wrong."""

    common: Common
    notebook: Notebook
    metrics: ClientMetrics
    environ: Mapping[str, str] = attrs.field(repr=False)

    async def before(self, steps: Iterable[Step]) -> list[str]:
        """Run the command that comes before a change on the server."""
        changing = [step.identity for step in steps if step.action in _ON_SERVER]
        return await self._run(self._command(self.common.pre_cmd_run, self.common.pre_cmd_timeout), changing)

    async def after(self, done: Sequence[Done]) -> list[str]:
        """Run each certificate's own command, then the one for all. Where that fails, certificates that want it go
        back to the version before, and the command is run again."""
        changed = [one.step for one in done if one.installed]
        problems: list[str] = []
        for step in changed:
            if step.wanted is not None and step.wanted.post_cmd_run:
                problems += await self._run_or_go_back(step.wanted.post_cmd_run, [step])
        return problems + await self._run_or_go_back(self.common.post_cmd_run, changed)

    async def _run_or_go_back(self, text: str, changed: Sequence[Step]) -> list[str]:
        command = self._command(text, self.common.post_cmd_timeout)
        identities = [step.identity for step in changed]
        problems = await self._run(command, identities)
        if not problems:
            return []
        gone_back = [step.wanted.identity for step in changed if step.wanted and await self._go_back(step.wanted)]
        if gone_back:
            problems.append(f"rolled back to the version before: {', '.join(gone_back)}")
            problems += await self._run(command, gone_back)
        return problems

    async def _go_back(self, wanted: Wanted) -> bool:
        """Whether the version before is installed again."""
        entry = self.notebook.record.get(wanted.identity)
        if not wanted.rollback or entry is None or entry.given_up == entry.fingerprint:
            return False
        versions = Versions(common=self.common, identity=wanted.identity, wanted=wanted)
        try:
            if not await trio.to_thread.run_sync(versions.roll_back):
                return False
            before = fingerprint((await trio.to_thread.run_sync(versions.installed)).certificate)
        except InstallRefused as error:
            _log.error("roll-back failed", certificate=wanted.identity, err=str(error))
            return False
        if before == entry.fingerprint:  # only files around it had changed
            return True
        await self.notebook.note(
            wanted.identity, attrs.evolve(entry, fingerprint=before, given_up=entry.fingerprint, files=())
        )
        _log.warning("rolled back to the version before", certificate=wanted.identity)
        self.metrics.rollbacks.inc()
        return True

    def _command(self, text: str, timeout: float) -> Command | None:
        if not (self.common.cmd_enabled and text.strip()):
            return None
        return Command(text=text, timeout=timeout, shell=self.common.cmd_shell)

    async def _run(self, command: Command | None, changed: Sequence[str]) -> list[str]:
        if command is None or not changed:
            return []
        problem = await run_command(command, changed, self.environ)
        self.metrics.command(command.program, succeeded=not problem)
        if problem:
            _log.error("command failed", command=command.program, err=problem)
        return [problem] if problem else []
