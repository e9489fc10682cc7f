"""One run: read the configuration, look at disk and server, plan, carry the plan out, run the commands."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import structlog
import trio

from acme_manager.client.access import access, retries
from acme_manager.client.apply import Done, Hand
from acme_manager.client.backup import Backup
from acme_manager.client.checks import look_at_services
from acme_manager.client.config import load_client
from acme_manager.client.flags import ClientFlags
from acme_manager.client.follow import Sight
from acme_manager.client.hooks import Hooks
from acme_manager.client.manager import Event, Manager, ManagerRefused, ManagerUnavailable, Preference, open_manager
from acme_manager.client.metrics import FULL, PULL, ClientMetrics
from acme_manager.client.model import ClientConfig
from acme_manager.client.notebook import Notebook, open_notebook
from acme_manager.client.observe import Subject, observe
from acme_manager.client.plan import Action, OnDisk, Situation, Step, Unknown, plan, plan_pull
from acme_manager.client.record import Entry
from acme_manager.client.report import Reporter, report_of, this_host
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import ConfigInvalid, InvalidRequest
from acme_manager.ports import Clock
from acme_manager.storage.vault import open_vault
from acme_manager.structure import together

_log = structlog.get_logger(__name__)
_AT_ONCE = 4  # steps; the server and its CA do the work
_LAST = frozenset({Action.DELETE, Action.REMOVE})

OK, INVALID, UNREACHABLE, INCOMPLETE, COMMAND_FAILED = 0, 1, 3, 4, 5
"""Exit codes of a run; 2 is for a command line that can't be used."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of a run."""

    done: Sequence[Done] = ()
    problems: Sequence[str] = ()
    code: int = OK


@attrs.frozen(kw_only=True)
class View:
    """Everything that a run knows before it changes anything, with what it needs to do so."""

    config: ClientConfig
    manager: Manager
    notebook: Notebook
    backup: Backup | None
    situation: Situation
    steps: Sequence[Step]


@attrs.frozen(kw_only=True)
class Runner:
    """Makes runs. Everything that may change is read anew for each: configuration, token, TLS files."""

    flags: ClientFlags
    environ: Mapping[str, str] = attrs.field(repr=False)
    metrics: ClientMetrics
    clock: Clock
    sight: Sight = attrs.field(factory=Sight)
    preference: Preference = attrs.field(factory=Preference)
    reporter: Reporter = attrs.field(factory=Reporter)

    async def events(self, digest: str, wait: float) -> Event:
        """Wait until the server has something else than `digest` is of, for `wait` seconds at most.

        Raises ConfigInvalid, ManagerUnavailable and ManagerRefused.
        """
        config = await trio.to_thread.run_sync(self._config)
        way = await trio.to_thread.run_sync(partial(access, self.flags, self.environ, config.common))
        async with open_manager(way, retries(config.common), self.preference) as manager:
            return await manager.events(digest, wait)

    async def run(self, *, forced: bool = False, cleanup: bool = False) -> Outcome:
        """Make a run. `forced` also tries what was given up; `cleanup` also removes files that nobody knows any more.

        Raises ConfigInvalid for a configuration that can't be used; nothing is changed then.
        """
        try:
            async with self.view(forced=forced, cleanup=cleanup) as view:
                self.metrics.config_error.set(0)
                return await self._carry_out(view)
        except ConfigInvalid:
            self.metrics.config_error.set(1)
            raise

    @asynccontextmanager
    async def view(self, *, forced: bool = False, cleanup: bool = False) -> AsyncIterator[View]:
        """Look at everything and plan, without a change. Raises ConfigInvalid."""
        config = await trio.to_thread.run_sync(self._config)
        # The library tells of each request by itself; logs.py keeps it quiet.
        logging.getLogger("httpx").setLevel(logging.INFO if config.common.http_client_debug else logging.WARNING)
        way = await trio.to_thread.run_sync(partial(access, self.flags, self.environ, config.common))
        notebook = await open_notebook(config.common)
        async with (
            open_manager(way, retries(config.common), self.preference) as manager,
            self._backup(config) as backup,
        ):
            server = await self._server(manager)
            disk = await trio.to_thread.run_sync(partial(self._disk, config, server, notebook))
            situation = Situation(
                config=config,
                server=server,
                disk=disk,
                record=notebook.record,
                now=self.clock.now().timestamp(),
                max_deletions=self.flags.most_deletions,
            )
            steps = plan_pull(situation) if self.flags.pull_only else plan(situation)
            if cleanup:
                steps += forgotten(situation, steps)
            if backup is not None:
                steps = [_also_backed_up(step, situation.record.get(step.identity)) for step in steps]
            if not forced:
                steps = [_unless_given_up(step, situation.record.get(step.identity)) for step in steps]
            yield View(
                config=config, manager=manager, notebook=notebook, backup=backup, situation=situation, steps=steps
            )

    @asynccontextmanager
    async def _backup(self, config: ClientConfig) -> AsyncIterator[Backup | None]:
        if config.vault is None or not (config.common.certificate_backup or self.flags.pull_only):
            yield None
            return
        async with open_vault(config.vault, self.metrics.storage) as storage:
            yield Backup(storage=storage, prefix=config.vault.certificate_prefix)

    def _config(self) -> ClientConfig:
        loaded = load_client(Path(self.flags.config_path), self.environ)
        for warning in loaded.warnings:
            _log.warning("doubtful configuration", where=warning.where, err=warning.message)
        return loaded.config

    async def _server(self, manager: Manager) -> Mapping[str, Certificate] | Unknown:
        try:
            listed = await manager.certificates()
        except (ManagerUnavailable, ManagerRefused) as error:
            self.metrics.server_unknown.set(1)
            return Unknown(str(error))
        self.metrics.server_unknown.set(0)
        self.sight.note(listed)
        found: dict[str, Certificate] = {}
        for one in listed:
            if all(map(_fits_into_a_path, (one.name or "-", one.issuer, one.domain))):
                found[identity_of(one)] = one
            else:
                _log.warning("certificate ignored, its name would lead out of the folder", name=one.id.key)
        self.metrics.expiry.certificates = found
        return found

    def _disk(
        self, config: ClientConfig, server: Mapping[str, Certificate] | Unknown, notebook: Notebook
    ) -> dict[str, OnDisk]:
        if config.common.certificate_dir is None:
            return {}
        known = {} if isinstance(server, Unknown) else server
        identities = dict.fromkeys([*config.wanted, *(known if self.flags.pull_only else ())])
        record = notebook.record
        return {
            one: observe(
                config.common,
                Subject(identity=one, wanted=config.wanted.get(one), present=known.get(one), entry=record.get(one)),
            )
            for one in identities
        }

    async def _carry_out(self, view: View) -> Outcome:
        self.metrics.role.set(PULL if self.flags.pull_only else FULL)
        await self._know_ours(view)
        for step in view.steps:
            log = _log.debug if step.action is Action.KEEP else _log.info
            log("planned", step=str(step.action), certificate=step.identity, reason=step.reason)
        hooks = Hooks(common=view.config.common, notebook=view.notebook, metrics=self.metrics, environ=self.environ)
        failed = [] if self.flags.pull_only else await hooks.before(view.steps)
        if failed:
            return Outcome(problems=[*failed, "nothing was changed"], code=COMMAND_FAILED)
        done, problems = await self._do(view)
        failed = await hooks.after(done)
        problems += await self._look_after(view, {one.step.identity for one in done if one.installed})
        unknown = view.situation.server
        if isinstance(unknown, Unknown):
            return Outcome(done=done, problems=[*problems, *failed, unknown.why], code=UNREACHABLE)
        code = COMMAND_FAILED if failed else INCOMPLETE if problems else OK
        if code == OK:
            self.metrics.last_run.set(self.clock.now().timestamp())
        return Outcome(done=done, problems=[*problems, *failed], code=code)

    async def _look_after(self, view: View, changed: Collection[str]) -> list[str]:
        """See whether services show what is installed now, and tell the server; returns which of them do not."""
        config, server = view.config, view.situation.server
        looks = await look_at_services(config, changed, self.metrics, self.clock)
        if not isinstance(server, Unknown):
            disk = await trio.to_thread.run_sync(partial(self._disk, config, server, view.notebook))
            now = attrs.evolve(view.situation, disk=disk, record=view.notebook.record)
            await self.reporter.offer(view.manager, report_of(this_host(), now, looks), self.clock.now().timestamp())
        return [
            f"{identity} is not served: {look.served.why}" for identity, look in looks.items() if not look.served.ok
        ]

    async def _do(self, view: View) -> tuple[list[Done], list[str]]:
        """All steps; those that take something away come last, and not at all when another has failed: what is to be
        deleted may be in use until what comes in its place is there."""
        hand = Hand(
            config=view.config,
            manager=view.manager,
            notebook=view.notebook,
            metrics=self.metrics,
            clock=self.clock,
            backup=view.backup,
            pull=self.flags.pull_only,
        )
        first = [step for step in view.steps if step.action not in _LAST]
        last = [step for step in view.steps if step.action in _LAST]
        done = await together(hand.carry_out, first, at_once=_AT_ONCE)
        problems = [one.problem for one in done if one.problem]
        if problems and last:
            _log.warning("deletions held back, since other steps have failed", number=len(last))
            problems.append(f"{len(last)} deletions were held back")
        elif last:
            done += await together(hand.carry_out, last, at_once=_AT_ONCE)
            problems = [one.problem for one in done if one.problem]
        return done, problems + hand.troubles

    async def _know_ours(self, view: View) -> None:
        """Note what we hold the key of, and forget planned deletions of what is wanted again."""
        situation = view.situation
        for step in view.steps if not self.flags.pull_only else ():
            if step.wanted is None:
                continue
            entry, disk = situation.record.get(step.identity), situation.disk.get(step.identity)
            present, new = step.present, entry
            if disk and present and disk.key_fits and disk.fingerprint == present.fingerprint:
                entry = entry or Entry(issuer=present.issuer, domain=present.domain, name=present.name)
                new = attrs.evolve(entry, ours=True, fingerprint=disk.fingerprint)
            if new is not None:
                await view.notebook.note(step.identity, attrs.evolve(new, delete_from=0.0))


def forgotten(situation: Situation, steps: Sequence[Step]) -> list[Step]:
    """Files that this agent wrote for certificates that neither the server nor the configuration has any more."""
    server, planned = situation.server, {step.identity for step in steps}
    if isinstance(server, Unknown):
        return []
    found = [
        Step(action=Action.REMOVE, identity=identity, reason="neither the server nor the configuration has it")
        for identity in situation.record
        if not (identity in situation.config.wanted or identity in server or identity in planned)
    ]
    if situation.max_deletions is not None and len(found) > situation.max_deletions:
        _log.warning("more to clean up than -client.max-deletions allows, nothing is", number=len(found))
        return []
    return found


def _also_backed_up(step: Step, entry: Entry | None) -> Step:
    if step.action is not Action.KEEP or not (step.wanted and step.present and entry and entry.unsaved):
        return step
    return attrs.evolve(step, action=Action.FETCH, reason="it could not be backed up so far")


def _unless_given_up(step: Step, entry: Entry | None) -> Step:
    if step.action not in {Action.FETCH, Action.RESTORE} or not (entry and entry.given_up and step.present):
        return step
    if step.present.fingerprint != entry.given_up:
        return step
    reason = "the server's version was rolled back, since a command failed with it; SIGUSR1 tries it again"
    return attrs.evolve(step, action=Action.KEEP, reason=reason)


def identity_of(certificate: Certificate) -> str:
    """As the configuration's (`Wanted.identity`): domains as our server spells them, whatever others do."""
    if certificate.name:
        return certificate.name
    try:
        return f"{certificate.issuer}/{parse_identifier(certificate.domain).value}"
    except InvalidRequest:
        return f"{certificate.issuer}/{certificate.domain}"


def _fits_into_a_path(part: str) -> bool:
    return bool(part) and not any(one in part for one in "/\\\0") and ".." not in part and part != "."
