"""The leader's part of operations on many certificates: have them carried out, watch them, and say when they are done.

What is made anew is made by the scheduler of renewals (services/renewals.py), which asks about each certificate what
operations want of it; so it goes by the queues, limits and back-off of all renewals, the soonest to expire first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime, timedelta

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry, Gauge

from acme_manager.domain.operation import Operation, OperationKind, OperationState
from acme_manager.errors import AcmeManagerError
from acme_manager.metrics import PREFIX
from acme_manager.ports import Clock
from acme_manager.services.certificates import Certificates
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Jobs
from acme_manager.services.operation_survey import Progress, candidates, progress, visit
from acme_manager.services.operations import Operations
from acme_manager.services.renewals import Renewals
from acme_manager.services.revoking import Revoking
from acme_manager.services.state import State
from acme_manager.structure import Bell, lone_error

_log = structlog.get_logger(__name__)

_SHOWN = ("done", "left", "failed", "host", "unrevoked")
_SHARE = 20  # a survey may take one part in so many of the time
_LOOK_EVERY = 60.0  # seconds, where nothing changes
_TELL_EVERY, _REMIND_EVERY = timedelta(minutes=1), timedelta(hours=1)
_REVOKE_AGAIN = timedelta(minutes=10)
_AT_ONCE = 20  # old certificates whose revocation is tried again in one round


@attrs.define(eq=False)
class _Watched:
    """What this leader knows of an operation besides its record."""

    early: set[str]  # keys that were being worked on when it saw the operation first: perhaps begun before that
    told_at: datetime
    told: Mapping[str, int] = attrs.field(factory=dict)
    asked: bool = False  # whether CAs are asked for windows


@attrs.define(eq=False, kw_only=True)
class OperationRounds:
    """Runs on the leader only, beside the renewals, and ends with its term."""

    _operations: Operations
    _state: State
    _jobs: Jobs
    _issuing: Issuing
    _certificates: Certificates
    _renewals: Renewals
    _revoking: Revoking
    _clock: Clock
    _items: Gauge
    bell: Bell = attrs.field(factory=Bell, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    _watched: dict[str, _Watched] = attrs.field(factory=dict, init=False)
    _stirred: bool = attrs.field(default=True, init=False)  # something has changed since the last look
    _rest_until: float = attrs.field(default=0.0, init=False)
    _looked_at: float = attrs.field(default=0.0, init=False)
    _revoke_again: dict[str, datetime] = attrs.field(factory=dict, init=False)

    @staticmethod
    def gauge(registry: CollectorRegistry) -> Gauge:
        """What is shown of operations that are not over."""
        return Gauge(
            f"{PREFIX}_operation_items",
            "Certificates of an operation that is not over: done, left, of these failed or waiting for their host; and"
            " certificates that were replaced, by whatever cause, and are still to be revoked",
            ["operation", "state"],
            registry=registry,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Own what is under way for the length of a block, which is a term of this node as the leader."""
        self._watched.clear()
        self._revoke_again.clear()
        self._revoking.begin()
        self._changed()
        with ExitStack() as stack, lone_error():
            stack.enter_context(self._state.operations.watched_by(self._changed))
            stack.enter_context(self._state.certificates.watched_by(self._stir))
            stack.enter_context(self._state.renewals.watched_by(self._stir))
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    yield
                finally:
                    self._items.clear()
                    nursery.cancel_scope.cancel(reason="this node stops leading")

    async def round(self) -> None:
        """Look at every operation that is not over, if something has changed since the last look."""
        assert self._nursery is not None, "open() owns what is under way"
        if not self._renewals.running:
            return  # they have only begun to: the next round is soon
        self._revoke_old_ones()
        began = trio.current_time()
        if began < self._rest_until or not (self._stirred or began >= self._looked_at + _LOOK_EVERY):
            return
        self._stirred, self._looked_at = False, began
        for gone in self._watched.keys() - {one.id for one in self._state.open_operations}:
            self._forget(gone)
        for operation in self._state.open_operations:
            await self._look(operation)
        self._revoking.start(self._nursery, self.bell.ring)
        self._rest_until = began + _SHARE * (trio.current_time() - began)

    def _changed(self, _id: str = "") -> None:
        self._stirred, self._rest_until = True, 0.0
        self.bell.ring()

    def _stir(self, _key: str) -> None:
        self._stirred = True

    async def _look(self, operation: Operation) -> None:
        watched = self._watched.get(operation.id)
        if watched is None:
            watched = self._watched[operation.id] = _Watched(set(self._jobs.running()), self._clock.now())
        if operation.state is OperationState.RUNNING:
            await self._go_on(operation, watched)
        found = await progress(self._state, operation, self._renewals.asks)
        unrevoked = len(self._issuing.unrevoked) if operation.revoke else 0
        self._show(operation, watched, found, unrevoked)
        watched.early.intersection_update(self._jobs.running())
        nothing_left = not (found.left or found.unasked or watched.early or unrevoked)
        if nothing_left and operation.state is OperationState.RUNNING:
            try:
                await self._operations.finish(operation.id)
            except AcmeManagerError as error:
                _log.warning("end of an operation not noted yet", id=operation.id, error=str(error))

    async def _go_on(self, operation: Operation, watched: _Watched) -> None:
        if operation.selector.ari and not watched.asked:
            watched.asked = True
            self._renewals.ask(await candidates(self._state, operation))
        if operation.kind is OperationKind.REVOKE:
            await visit(self._state, operation, lambda certificate, _: self._revoking.add(certificate))

    def _show(self, operation: Operation, watched: _Watched, found: Progress, unrevoked: int) -> None:
        numbers = (found.done, found.left, found.failed, found.waiting_for_host, unrevoked)
        counts = dict(zip(_SHOWN, numbers, strict=True))
        for state, number in counts.items():
            self._items.labels(operation.id, state).set(number)
        now = self._clock.now()
        if now - watched.told_at >= (_REMIND_EVERY if watched.told == counts else _TELL_EVERY):
            watched.told_at, watched.told = now, counts
            ends_at = found.ends_at(operation, now)
            _log.info(
                "operation goes on" if operation.state is OperationState.RUNNING else "operation is paused",
                id=operation.id,
                kind=operation.kind.value,
                total=found.total,
                **counts,
                estimated_end=ends_at.isoformat(timespec="seconds") if ends_at else "",
            )

    def _forget(self, id: str) -> None:
        del self._watched[id]
        for state in _SHOWN:
            self._items.remove(id, state)

    def _revoke_old_ones(self) -> None:
        """Try those again that should have been revoked when their successor was kept."""
        now, left = self._clock.now(), _AT_ONCE
        for key in tuple(self._issuing.unrevoked):
            again_at = self._revoke_again.setdefault(key, now + _REVOKE_AGAIN)
            if again_at <= now and left and not self._jobs.busy(key):
                left -= 1
                self._revoke_again[key] = now + _REVOKE_AGAIN
                record = self._issuing.unfinished[key]
                self._certificates.resume(record.certificate, revoke=record.revoke)
        for key in self._revoke_again.keys() - self._issuing.unrevoked:
            del self._revoke_again[key]
