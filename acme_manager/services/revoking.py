"""Carry out operations that revoke: several certificates at once at each CA, and again later what failed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from datetime import timedelta

import attrs
import structlog
import trio

from acme_manager.domain.causes import backoff, classify
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.operation import Operation, OperationKind, OperationState
from acme_manager.domain.planning import life_of
from acme_manager.errors import (
    AcmeManagerError,
    CertificateNotFound,
    NotLeader,
    OperationInProgress,
    OutcomeUnknown,
)
from acme_manager.ports import Clock
from acme_manager.services.certificates import Certificates
from acme_manager.services.settings import Settings
from acme_manager.services.state import State

_log = structlog.get_logger(__name__)

_LONGEST_ERROR = 500  # characters of a sentence that every node keeps


@attrs.define(eq=False, kw_only=True)
class Revoking:
    """What waits to be revoked and deleted, by CA. Whether it still is to be is asked right before."""

    _state: State
    _certificates: Certificates
    _settings: Settings
    _clock: Clock
    _waiting: dict[str, deque[str]] = attrs.field(factory=dict, init=False)
    _known: set[str] = attrs.field(factory=set, init=False)  # waiting, or under way
    _flying: Counter[str] = attrs.field(factory=Counter, init=False)

    def begin(self) -> None:
        """This node has begun to lead."""
        for kept in (self._waiting, self._known, self._flying):
            kept.clear()

    def add(self, certificate: Certificate) -> None:
        """It is to be revoked, unless it failed and its time has not come again."""
        key, again_at = certificate.id.key, self._state.renewal(certificate).retry_at
        if key not in self._known and (again_at is None or again_at <= self._clock.now()):
            self._known.add(key)
            self._waiting.setdefault(certificate.issuer, deque()).append(key)

    def start(self, nursery: trio.Nursery, finished: Callable[[], None]) -> None:
        """Go on with what waits, as far as each CA's `max_orders` goes; `finished` is called when none is left."""
        for issuer, keys in tuple(self._waiting.items()):
            config = self._settings.issuers.get(issuer)
            while keys and self._flying[issuer] < (config.max_orders if config else 1):
                self._flying[issuer] += 1
                nursery.start_soon(self._work, nursery, finished, issuer, keys.popleft())
            if not keys:
                del self._waiting[issuer]

    async def _work(self, nursery: trio.Nursery, finished: Callable[[], None], issuer: str, key: str) -> None:
        certificate = self._state.certificates.get(key)
        try:
            operation = None if certificate is None else self._operation(certificate)
            if certificate is not None and operation is not None:
                await self._certificates.delete(certificate.id, revoke=True, reason=operation.reason)
                _log.info("certificate revoked and deleted", key=key, serial=certificate.serial, operation=operation.id)
        except (OperationInProgress, NotLeader, OutcomeUnknown, CertificateNotFound):
            pass  # somebody else is at work: the next survey sees what has become of it
        except AcmeManagerError as error:
            self._failed(key, error)
        except Exception as error:  # noqa: BLE001 a bug, which jobs.py has logged; it must not stop the others
            self._failed(key, AcmeManagerError(f"unexpected {type(error).__name__}; the log has it"))
        finally:
            self._known.discard(key)
            self._flying[issuer] -= 1
        self.start(nursery, finished)
        if not self._known:
            finished()

    def _operation(self, certificate: Certificate) -> Operation | None:
        known = self._state.renewal(certificate)
        return next(
            (
                one
                for one in self._state.open_operations
                if one.kind is OperationKind.REVOKE
                and one.state is OperationState.RUNNING
                and one.covers(certificate, known)
            ),
            None,
        )

    def _failed(self, key: str, error: AcmeManagerError) -> None:
        """Remember a failure, and when to try again, where failures of renewals are remembered too."""
        certificate, now, cause = self._state.certificates.get(key), self._clock.now(), classify(error)
        if certificate is None:
            return
        known, life = self._state.renewal(certificate), life_of(certificate)
        failures = known.failures + cause.counted
        left = (life.end - now).total_seconds() if life is not None else 0.0
        retry_at = now + timedelta(seconds=backoff(max(failures, 1), left, cause.retry_after, key))
        _log.warning("revocation failed", key=key, cause=cause.name, error=str(error), next_try=retry_at.isoformat())
        try:
            self._state.publish_renewal(
                key,
                attrs.evolve(
                    known,
                    failures=failures,
                    error=f"not revoked: {cause.sentence}"[:_LONGEST_ERROR],
                    cause=cause.name,
                    cure=cause.cure.value,
                    retry_at=retry_at,
                ),
            )
        except AcmeManagerError as lost:  # this node is about to learn that it leads no more
            _log.warning("state of a revocation not published", key=key, error=str(lost))
