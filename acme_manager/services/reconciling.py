"""Bring the shared map in line with storage, which is the truth, and take up what an earlier leader left unfinished."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import attrs
import structlog
import trio

from acme_manager.domain.certificate import Certificate, StoredCertificate, stored_from_json, stored_to_json
from acme_manager.errors import AcmeManagerError, InvalidRequest, StaleVersion
from acme_manager.ports import Storage
from acme_manager.services.certificates import Certificates
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Jobs
from acme_manager.services.operations import Operations
from acme_manager.services.reconciling_tokens import TokenReconciler
from acme_manager.services.resync import Resync, ResyncMetrics
from acme_manager.services.state import State
from acme_manager.storage import keys
from acme_manager.structure import together

T = TypeVar("T")
_log = structlog.get_logger(__name__)

_AT_ONCE = 8
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)


@attrs.frozen(kw_only=True)
class Reconciler:
    """The leader's look through everything in storage. What is being worked on meanwhile is left to the work."""

    storage: Storage
    state: State
    jobs: Jobs
    certificates: Certificates
    issuing: Issuing
    operations: Operations
    certificate_prefix: str
    token_prefix: str
    metrics: ResyncMetrics
    _one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def take_over(self) -> None:
        """What a new leader does first. Storage may be away: this keeps trying, and says so."""
        await _insist(self.operations.load)
        unfinished = await _insist(self.issuing.read_journal)
        for record in unfinished:
            _log.info("order resumed", key=record.certificate.id.key, url=record.order.url)
            self.certificates.resume(record.certificate, revoke=record.revoke)
        self.issuing.attempts.interrupt(self.jobs.busy)
        self.jobs.admit()
        await _insist(self.round)
        _log.info(
            "state read from storage",
            certificates=len(self.state.certificates),
            tokens=len(self.state.tokens),
            orders=len(unfinished),
        )

    async def round(self) -> Resync:
        """Compare everything once. Raises StorageUnavailable, StorageDenied, OutcomeUnknown."""
        async with self._one_at_a_time:
            began, done = trio.current_time(), Resync()
            await self._compare(done)
            done.seconds = round(trio.current_time() - began, 3)
        self.metrics.note(done)
        return done

    async def _compare(self, done: Resync) -> None:
        found = await self.storage.list(self.certificate_prefix, skip=keys.ours_prefix(self.certificate_prefix))
        await together(partial(self._certificate, done), found, at_once=_AT_ONCE)
        # What was found above has just been read; the rest of the map is held against storage one by one.
        there = set(map(self._below, found))
        rest = [key for key, _ in self.state.certificates.items() if key not in there]
        await together(partial(self._certificate_of, done), rest, at_once=_AT_ONCE)
        await TokenReconciler(self.storage, self.state, self.token_prefix).compare(done, at_once=_AT_ONCE)

    async def _certificate(self, done: Resync, key: str) -> None:
        known = self.state.certificates.get(self._below(key))
        value = (await self.storage.get(key)).value
        if not value or not value.get("cert"):  # deleted, or an agent's backup of a key
            self._withdraw(done, self._below(key), known)
            return
        done.certificates += 1
        try:
            stored = stored_from_json(value)
            proper = keys.certificate_key(self.certificate_prefix, stored.certificate.id)
        except (ValueError, AcmeManagerError) as error:
            _log.warning("secret is no certificate of ours, left alone", key=key, error=str(error))
            return
        if key != proper:
            if keys.old_named_id_from_key(self.certificate_prefix, key) != stored.certificate.id:
                _log.warning("secret lies where it does not belong, left alone", key=key, belongs=proper)
                return
            await self._migrate(key, proper, stored)
        if self._untouched(stored.certificate.id.key, known) and known != stored.certificate:
            try:
                self.state.publish(stored.certificate)
            except InvalidRequest as error:
                _log.warning("certificate's metadata is too large to be shared, left alone", key=key, error=str(error))
                return
            done.certificates_changed.append(stored.certificate.id.key)

    async def _certificate_of(self, done: Resync, key: str) -> None:
        """Withdraw what storage does not have."""
        known = self.state.certificates.get(key)
        if known is None:
            return
        stored = (await self.storage.get(keys.certificate_key(self.certificate_prefix, known.id))).value
        if not stored:
            self._withdraw(done, key, known)

    def _withdraw(self, done: Resync, key: str, known: Certificate | None) -> None:
        if known is not None and self._untouched(key, known):
            self.state.withdraw(key)
            done.certificates_gone.append(key)
            _log.info("certificate is gone from storage", key=key)

    def _below(self, key: str) -> str:
        return key.removeprefix(keys.clean_prefix(self.certificate_prefix) + "/")

    def _untouched(self, key: str, known: Certificate | None) -> bool:
        return not self.jobs.busy(key) and self.state.certificates.get(key) is known

    async def _migrate(self, key: str, proper: str, stored: StoredCertificate) -> None:
        """Early Go versions kept named certificates below issuer and domain."""
        try:
            await self.storage.put(proper, stored_to_json(stored), expected=0)
        except StaleVersion:
            _log.warning("old copy of a named certificate left alone", key=key, newer=proper)
            return
        await self.storage.delete(key)
        _log.info("named certificate moved to its present path", key=key, path=proper)


async def _insist(step: Callable[[], Awaitable[T]]) -> T:
    attempt = 0
    while True:
        try:
            return await step()
        except AcmeManagerError as error:
            pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
            attempt += 1
            _log.error("state not read from storage", error=str(error), retry_in=pause)
            await trio.sleep(pause)
