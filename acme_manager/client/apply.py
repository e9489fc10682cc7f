"""Carry out the steps of a plan, each for itself: one that fails is told and leaves the others alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import attrs
import structlog
import trio

from acme_manager.client.backup import Backup
from acme_manager.client.keys import made_for, new_key, signing_request
from acme_manager.client.manager import Manager
from acme_manager.client.metrics import ClientMetrics
from acme_manager.client.model import ClientConfig, Wanted
from acme_manager.client.notebook import Notebook
from acme_manager.client.plan import DEFAULT_KEY_TYPE, Action, Step
from acme_manager.client.record import Entry
from acme_manager.client.versions import Versions
from acme_manager.domain.bundle_files import Parts
from acme_manager.domain.certificate import Certificate, StoredCertificate
from acme_manager.domain.keys import fingerprint
from acme_manager.errors import AcmeManagerError
from acme_manager.ports import Clock

T = TypeVar("T")
_log = structlog.get_logger(__name__)
_threads = trio.CapacityLimiter(4)


class StepFailed(AcmeManagerError):
    """A step can't be done; the message says what would help."""


@attrs.frozen(kw_only=True)
class Done:
    """What became of a step."""

    step: Step
    installed: bool = False  # the files on this host are others now
    problem: str = ""


@attrs.frozen(kw_only=True)
class Hand:
    """Does what steps say. `pull` is for pull mode, where files are kept whatever `certificate_deploy` says."""

    config: ClientConfig
    manager: Manager
    notebook: Notebook
    metrics: ClientMetrics
    clock: Clock
    backup: Backup | None = None
    pull: bool = False
    troubles: list[str] = attrs.field(factory=list)  # what went wrong without a step failing

    async def carry_out(self, step: Step) -> Done:
        """Do one step."""
        try:
            installed = await self._actions[step.action](step)
        except Exception as error:  # noqa: BLE001 one that nobody foresaw must not keep the others from being done
            foreseen = isinstance(error, AcmeManagerError | OSError | ValueError)
            trace = {} if foreseen else {"exc_info": error}
            _log.error("step failed", step=str(step.action), certificate=step.identity, err=str(error), **trace)
            self.metrics.steps.labels(step.action, "failed").inc()
            return Done(step=step, problem=f"{step.action} {step.identity}: {error}")
        if step.action is not Action.KEEP:
            _log.info("step done", step=str(step.action), certificate=step.identity, reason=step.reason)
            self.metrics.steps.labels(step.action, "success").inc()
        return Done(step=step, installed=installed)

    @property
    def _actions(self) -> Mapping[Action, Callable[[Step], Awaitable[bool]]]:
        return {
            Action.KEEP: self._keep,
            Action.CREATE: self._create,
            Action.REMAKE: self._remake,
            Action.CHANGE: self._change,
            Action.FETCH: self._fetch,
            Action.RESTORE: self._fetch,
            Action.REPAIR: self._repair,
            Action.SCHEDULE: self._schedule,
            Action.DELETE: self._delete,
            Action.REMOVE: self._remove,
        }

    async def _keep(self, _: Step) -> bool:
        return False

    async def _create(self, step: Step) -> bool:
        wanted, key = await self._key(step)
        stored = await self.manager.create(self._params(wanted, key))
        self.metrics.operation(wanted.issuer, "created")
        return await self._arrived(step, stored, key)

    async def _remake(self, step: Step) -> bool:
        wanted, key = await self._key(step)
        revoke = self.config.common.revoke_on_update
        stored = await self.manager.update({**self._params(wanted, key), **({"revoke": True} if revoke else {})})
        return await self._arrived(step, stored, key)

    async def _change(self, step: Step) -> bool:
        wanted, present = step.wanted, step.present
        assert wanted is not None
        assert present is not None
        facts = {"renewal_days": wanted.renewal_days, "labels": wanted.labels}
        # Everything else as the server has it: what is left out would be a change too, and a new certificate.
        stored = await self.manager.update(_given({**_asked_for(present), "csr": present.csr, **facts}))
        if not self._deploys:
            return False
        parts = await self._threaded(self._versions(step).installed)
        entry = self.notebook.record.get(step.identity)
        if stored.certificate.fingerprint in {fingerprint(parts.certificate), entry.given_up if entry else ""}:
            return False
        return await self._arrived(step, stored, await self._fitting(step, stored))

    async def _fetch(self, step: Step) -> bool:
        assert step.present is not None
        stored = await self.manager.fetch(step.present)
        key = await self._fitting(step, stored)
        if key:
            return await self._arrived(step, stored, key)
        if self.pull or step.wanted is None:
            raise StepFailed("neither this host nor the backup has the certificate's key")
        if step.action is Action.RESTORE:
            _log.warning("key not in the backup, a new certificate is asked for", certificate=step.identity)
            return await self._remake(attrs.evolve(step, new_key=True))
        raise StepFailed(
            "the server has a certificate for another key than this host has, so somebody else asks for it too. "
            "Keep one of the two, or set certificate_backup on both; without the key file a new one is asked for"
        )

    async def _repair(self, step: Step) -> bool:
        assert step.present is not None
        parts = await self._threaded(self._versions(step).installed)
        return await self._install(step, parts, step.present)

    async def _schedule(self, step: Step) -> bool:
        entry = self.notebook.record[step.identity]
        await self.notebook.note(step.identity, attrs.evolve(entry, delete_from=step.at))
        return False

    async def _delete(self, step: Step) -> bool:
        assert step.present is not None
        await self.manager.delete(step.present, revoke=self.config.common.revoke_on_delete)
        self.metrics.operation(step.present.issuer, "deleted")
        return await self._remove(step)

    async def _remove(self, step: Step) -> bool:
        removed: list[str] = []
        if self._deploys:
            removed = await self._threaded(self._versions(step).remove)
        await self.notebook.note(step.identity, None)
        return bool(removed)

    async def _arrived(self, step: Step, stored: StoredCertificate, key: str) -> bool:
        """A certificate has come: keep it where it is to be kept."""
        told = stored.certificate
        differs = told.fingerprint != fingerprint(stored.cert)
        self.metrics.mismatch.labels(told.issuer, told.name, told.domain).set(differs)
        if differs:
            _log.warning("content is not what the server's metadata says", certificate=step.identity)
        saved = await self._back_up(step, stored, key)
        installed = False
        if not self._deploys:
            await self._remember(step, told, told.fingerprint, ())
            if saved and self.config.common.certificate_dir is not None:
                await self._threaded(self._versions(step).forget_key)
        else:
            parts = Parts(certificate=stored.cert, chain=stored.ca_issuer, key=key)
            if parts != await self._threaded(self._versions(step).installed):
                installed = await self._install(step, parts, told)
        if step.identity in self.notebook.record:
            entry = self.notebook.record[step.identity]
            await self.notebook.note(step.identity, attrs.evolve(entry, unsaved=not saved))
        return installed

    async def _back_up(self, step: Step, stored: StoredCertificate, key: str) -> bool:
        """False when it failed: what can't be kept in two places is installed all the same, and the next run tries
        again."""
        if self.backup is None or self.pull:
            return True
        try:
            await self.backup.save(stored, key)
        except AcmeManagerError as error:
            _log.error("not backed up", certificate=step.identity, err=str(error))
            self.troubles.append(f"{step.identity} could not be backed up: {error}")
            return False
        return True

    async def _install(self, step: Step, parts: Parts, told: Certificate) -> bool:
        versions = self._versions(step)
        files = await self._threaded(partial(versions.install, parts, self.clock.now(), bundle=told.bundle))
        self.metrics.installed.inc()
        await self._remember(step, told, fingerprint(parts.certificate), files)
        return True

    async def _remember(self, step: Step, told: Certificate, seen: str, files: tuple[str, ...]) -> None:
        before = self.notebook.record.get(step.identity)
        entry = Entry(
            issuer=told.issuer,
            domain=told.domain,
            name=told.name,
            ours=not self.pull and (step.wanted is not None or (before is not None and before.ours)),
            fingerprint=seen,
            files=files,
            installed_at=self.clock.now().timestamp() if files else 0.0,
        )
        await self.notebook.note(step.identity, entry)

    async def _key(self, step: Step) -> tuple[Wanted, str]:
        """The key to ask for a certificate with."""
        wanted, common = step.wanted, self.config.common
        assert wanted is not None
        if not step.new_key or common.certificate_keyfile_no_generate:
            key = ""
            if common.certificate_dir is not None:
                key = (await self._threaded(self._versions(step).installed)).key
            if not key and self.backup is not None and step.present is not None:
                key = await self.backup.load(step.present) or ""
            if key:
                return wanted, key
            if common.certificate_keyfile_no_generate:
                raise StepFailed("there is no key file, and certificate_keyfile_no_generate is set")
        kind = wanted.key_type or DEFAULT_KEY_TYPE
        make = new_key if common.certificate_dir is None else self._versions(step).new_key
        return wanted, await self._threaded(partial(make, kind))

    async def _fitting(self, step: Step, stored: StoredCertificate) -> str:
        """The key that a certificate was made for, wherever it is; empty where none is."""
        keys = [*await self._threaded(self._versions(step).keys), stored.private_key]
        found = next((key for key in keys if key and made_for(key, stored.cert)), "")
        if not found and self.backup is not None:
            backed = await self.backup.load(stored.certificate)
            found = backed if backed and made_for(backed, stored.cert) else ""
        return found

    @property
    def _deploys(self) -> bool:
        common = self.config.common
        return common.certificate_dir is not None and (self.pull or common.certificate_deploy)

    def _versions(self, step: Step) -> Versions:
        return Versions(common=self.config.common, identity=step.identity, wanted=step.wanted)

    def _params(self, wanted: Wanted, key: str) -> dict[str, Any]:
        asked = attrs.evolve(
            wanted,
            days=wanted.days or self.config.common.cert_days,
            key_type=wanted.key_type or DEFAULT_KEY_TYPE,
        )
        return _given({**_asked_for(asked), "csr": signing_request(key, wanted.domain, wanted.san)})

    @staticmethod
    async def _threaded(function: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(function, limiter=_threads)


_PARAMS = (
    "domain", "issuer", "name", "bundle", "san", "days", "renewal_days", "dns_challenge", "http_challenge", "key_type",
    "labels", "profile",
)  # fmt: skip


def _asked_for(of: Wanted | Certificate) -> dict[str, Any]:
    return {name: getattr(of, name) for name in _PARAMS}


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says no more than its absence."""
    return {name: value for name, value in params.items() if value}
