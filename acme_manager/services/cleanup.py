"""Clean-up: the leader's round over everything in storage. It does what domain/cleanup.py decides."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry, Counter

from acme_manager.domain.cleanup import Action, Decision
from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.keys import describe
from acme_manager.errors import (
    AcmeManagerError,
    InvalidRequest,
    IssuerRateLimited,
    IssuerUnavailable,
    NoQuorum,
    NotLeader,
    OperationInProgress,
    StorageDenied,
)
from acme_manager.ports import Cluster
from acme_manager.services.cleanup_notes import CleanupNotes
from acme_manager.services.cleanup_survey import Found, Secret, Survey
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Flight, Jobs
from acme_manager.services.state import State

_log = structlog.get_logger(__name__)

_SUPERSEDED, _CESSATION_OF_OPERATION = 4, 5  # RFC 5280 section 5.3.1
_FAILED = "failed"
_SAID = 10  # failures of a round that are logged one by one


@attrs.frozen(kw_only=True)
class Cleanup:
    """See docs/operations.md, "Clean-up"."""

    cluster: Cluster
    survey: Survey
    notes: CleanupNotes
    issuing: Issuing
    jobs: Jobs
    state: State
    actions: Counter
    enabled: bool  # whether there are rounds; a preview there is in any case

    @staticmethod
    def counter(registry: CollectorRegistry) -> Counter:
        """The metric for `actions`."""
        return Counter(
            "acme_manager_cleanup_actions",
            "What clean-up has done (revoke, destroy, purge), left (keep, skip) and could not do (failed)",
            ["action"],
            registry=registry,
        )

    async def preview(self, found: Found) -> None:
        """Tell what a round would do now, without doing it. Raises StorageUnavailable, StorageDenied."""
        await self.survey.look(self.notes.revoked, found)

    async def round(self) -> None:
        """One cycle. What fails for one secret hinders no other.

        Raises NotLeader and NoQuorum when leadership goes, StorageUnavailable and StorageDenied when storage can't be
        listed.
        """
        began, this = trio.current_time(), _Round(self)
        self.notes.begin(milliseconds(self.survey.clock.now()))
        there = await self.survey.look(self.notes.revoked, this.settle)
        self.notes.keep_only(there)
        counts = {name: this.tally[name] for name in (*Action, _FAILED)}
        _log.info("cleanup done", secrets=len(there), **counts, seconds=round(trio.current_time() - began, 3))


@attrs.define
class _Round:
    """One round, and what it has come to so far."""

    cleanup: Cleanup
    tally: Tally[str] = attrs.field(factory=Tally)
    silent: set[str] = attrs.field(factory=set)  # issuers that did not answer: they are not asked again
    denied: bool = False  # whether Vault has refused to remove something: it would refuse everything

    async def settle(self, secret: Secret, decisions: list[Decision]) -> None:
        """Do what was decided about one secret."""
        for decision in decisions:
            if decision.action in {Action.KEEP, Action.SKIP}:
                self._count(decision.action)
                _log.debug("left by cleanup", key=secret.key, version=decision.version, reason=decision.reason)
        revoke = [one for one in decisions if one.action is Action.REVOKE]
        remove = [one for one in decisions if one.action in {Action.DESTROY, Action.PURGE}]
        if secret.id is not None and self.cleanup.jobs.busy(secret.id.key):
            self._count(Action.SKIP, len(revoke) + len(remove))
            return
        revoked = {one.serial for one in revoke if await self._attempt(secret, one, partial(self._revoke, secret, one))}
        if secret.id is not None and not any(one.version == 0 and one.action is Action.SKIP for one in decisions):
            present = {one.serial for one in decisions}
            self._note(secret, (self.cleanup.notes.revoked(secret.key) & present) | revoked)
        if remove and self.denied:
            self._count(Action.SKIP, len(remove))
        elif remove:
            await self._attempt(secret, remove[0], partial(self._remove, secret, remove))

    def _note(self, secret: Secret, revoked: AbstractSet[str]) -> None:
        try:
            self.cleanup.notes.note(secret.key, revoked)
        except InvalidRequest as error:  # a path too long for the shared map: it is revoked anew until it has expired
            _log.warning("revocation not noted", key=secret.key, error=str(error))

    async def _attempt(self, secret: Secret, decision: Decision, work: Callable[[], Awaitable[bool]]) -> bool:
        """Whether it was done."""
        try:
            return await work()
        except (NotLeader, NoQuorum):
            raise
        except OperationInProgress:
            self._count(Action.SKIP)
        except (AcmeManagerError, ValueError, trio.TooSlowError) as error:
            self._count(_FAILED)
            self.denied = self.denied or isinstance(error, StorageDenied)
            if self.tally[_FAILED] <= _SAID:
                told = {"key": secret.key, "version": decision.version, "error": str(error) or type(error).__name__}
                _log.warning("cleanup failed", action=decision.action.value, **told)
        return False

    async def _revoke(self, secret: Secret, decision: Decision) -> bool:
        stored = await self.cleanup.survey.content(secret, decision.version)
        if stored is None or describe(stored.cert).serial != decision.serial:
            return False  # it was deleted, or even replaced, a moment ago
        issuer = stored.certificate.issued_by or stored.certificate.issuer
        if issuer in self.silent:
            self._count(Action.SKIP)
            return False
        try:
            # What is served and goes all the same has no successor.
            reason = _CESSATION_OF_OPERATION if decision.version == secret.newest else _SUPERSEDED
            await self.cleanup.issuing.revoke(stored, reason)
        except (IssuerUnavailable, IssuerRateLimited, trio.TooSlowError):
            self.silent.add(issuer)
            raise
        self._done(secret, decision)
        return True

    async def _remove(self, secret: Secret, decisions: Sequence[Decision]) -> bool:
        if secret.id is None:
            return await self._purge_token(secret, decisions[0])
        # As a flight of that certificate, so that no order for it writes a version at the same time.
        work = partial(self._remove_versions, secret, decisions)
        return await self.cleanup.jobs.run(secret.id.key, "cleanup", work)

    async def _remove_versions(self, secret: Secret, decisions: Sequence[Decision], _flight: Flight[bool]) -> bool:
        storage, state = self.cleanup.survey.storage, self.cleanup.state
        history = await storage.versions(secret.key)
        newest = history[-1].version if history else 0
        if newest != secret.newest:
            return False  # it was written to since: the next round looks at it anew
        await self.cleanup.cluster.confirm()
        if decisions[0].action is Action.PURGE:
            await storage.purge(secret.key)
        else:
            await storage.destroy(secret.key, [one.version for one in decisions])
        if secret.id is not None and newest in {one.version for one in decisions} and not secret.moved:
            state.withdraw(secret.id.key)
        for decision in decisions:
            self._done(secret, decision)
        return True

    async def _purge_token(self, secret: Secret, decision: Decision) -> bool:
        if not await self.cleanup.survey.is_gone(secret):
            return False
        await self.cleanup.cluster.confirm()
        await self.cleanup.survey.storage.purge(secret.key)
        if self.cleanup.state.tokens.get(secret.token_id) is not None:
            self.cleanup.state.withdraw_token(secret.token_id)
        self._done(secret, decision)
        return True

    def _done(self, secret: Secret, decision: Decision) -> None:
        self._count(decision.action)
        told = {"key": secret.key, "version": decision.version, "reason": decision.reason}
        _log.info("cleaned up", action=decision.action.value, **told)

    def _count(self, what: str, number: int = 1) -> None:
        self.tally[what] += number
        self.cleanup.actions.labels(what).inc(number)
