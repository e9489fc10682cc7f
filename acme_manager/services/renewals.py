"""Renew every certificate in time: the leader's loop, from what is due to what has become of it.

It sleeps until the next certificate wants a look. What is due waits in its CA's queue, most urgent first, and is
started as far as `max_orders` and the CA's limits go, so that a slow CA or one without room holds nobody else up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import attrs
import structlog
import trio

from acme_manager.domain.causes import Cure, backoff, classify
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.names import Identifier
from acme_manager.domain.planning import Policy, RenewalPlan, life_of
from acme_manager.domain.renewal_state import NOTHING_KNOWN, RenewalState
from acme_manager.errors import (
    AcmeManagerError,
    BudgetSpent,
    CertificateNotFound,
    NotLeader,
    OperationInProgress,
    OutcomeUnknown,
)
from acme_manager.ports import Clock
from acme_manager.services.agenda import Agenda, Queue
from acme_manager.services.asking import Asking
from acme_manager.services.certificates import Certificates
from acme_manager.services.plans import Plans
from acme_manager.services.renewal_metrics import RenewalMetrics
from acme_manager.services.settings import Settings
from acme_manager.services.state import State
from acme_manager.structure import Bell, lone_error

_log = structlog.get_logger(__name__)

_BATCH = 50  # certificates looked at without letting others run
_LONGEST_ERROR = 500  # characters of a sentence that every node keeps
_SOON = timedelta(minutes=1)
_MANY = 9  # failures, after which the back-off grows no more
_URGENT = 0.1  # of the life is left: then a renewal may take what is kept for people


class Budget(Protocol):
    """Whether a CA's limits have room for an order (services/budgets.py)."""

    def wait(
        self, issuer: str, identifiers: Iterable[Identifier], *, renewal: bool, ari: bool, urgent: bool = False
    ) -> tuple[float, str]:
        """Seconds until there is room, and whose limit says so; 0.0 and "" when there is room."""
        ...


@attrs.define(eq=False, kw_only=True)
class Renewals:
    """Runs on the leader only, and ends with its term."""

    _state: State
    _plans: Plans
    _asking: Asking
    _certificates: Certificates
    _budget: Budget
    _settings: Settings
    _clock: Clock
    _metrics: RenewalMetrics
    _interval: float  # seconds: the longest time between two rounds
    bell: Bell = attrs.field(factory=Bell, init=False)  # rings when it is time for a round
    _agenda: Agenda = attrs.field(factory=Agenda, init=False)
    _queues: dict[str, Queue] = attrs.field(factory=dict, init=False)  # by issuer
    _flying: Counter[str] = attrs.field(factory=Counter, init=False)  # renewals under way by issuer
    _under_way: set[str] = attrs.field(factory=set, init=False)
    _held: dict[str, datetime] = attrs.field(factory=dict, init=False)  # not before that: somebody else was at work
    _touched: dict[str, None] = attrs.field(factory=dict, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    _alarm: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _stock: Policy | None = attrs.field(default=None, init=False)  # by which everything on the agenda was planned
    _summarized: datetime = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._summarized = self._clock.now()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Own what is under way for the length of a block, which is a term of this node as the leader."""
        for kept in (self._queues, self._flying, self._under_way, self._held, self._touched):
            kept.clear()
        self._agenda, self._stock = Agenda(), None
        self._asking.begin()
        with ExitStack() as stack, lone_error():
            stack.callback(self._show_nothing)
            stack.enter_context(self._state.certificates.watched_by(self._touch))
            stack.enter_context(self._state.renewals.watched_by(self._touch))
            stack.enter_context(self._state.operations.watched_by(self._take_stock))
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    yield
                finally:
                    self._nursery = None
                    nursery.cancel_scope.cancel(reason="this node stops leading")

    async def round(self) -> Mapping[str, int]:
        """Look at what wants a look, start what is due and has room, and see to it that the bell rings for the next.

        Returns figures for people: how many certificates there are, were looked at, are being renewed, wait for room.
        """
        assert self._nursery is not None, "open() owns what is under way"
        now = self._clock.now()
        if self._plans.policy is not self._stock:
            self._stock = self._plans.policy
            self._touched |= dict.fromkeys(key for key, _ in self._state.certificates.items())
        touched, self._touched = self._touched, {}
        await _in_batches(touched, self._schedule)
        looked_at = await _in_batches(self._agenda.pop_due(now.timestamp()), self._look)
        for issuer in tuple(self._queues):
            await self._start(issuer, self._nursery)
        self._asking.start(self._nursery, self._touch)
        waiting = self._show(now)
        self._alarm.cancel()
        self._alarm = trio.CancelScope()
        self._nursery.start_soon(self._ring_later, self._alarm)
        there, under_way = len(self._state.certificates), len(self._under_way)
        return {"certificates": there, "looked at": looked_at, "under way": under_way, "waiting for room": waiting}

    @property
    def running(self) -> bool:
        """Whether this node renews."""
        return self._nursery is not None

    def ask(self, certificates: Iterable[Certificate]) -> None:
        """Have CAs asked for these certificates' windows soon, whenever they were asked last."""
        for certificate in certificates:
            self._asking.add(certificate)
        self.bell.ring()

    def asks(self, key: str) -> bool:
        """Whether a CA is being asked about a certificate, or is going to be soon."""
        return self._asking.pending(key)

    def _take_stock(self, _operation: str) -> None:
        """What operations want has changed: all is planned anew."""
        self._stock = None
        self.bell.ring()

    def _touch(self, key: str) -> None:
        self._touched[key] = None
        self.bell.ring()

    async def _ring_later(self, alarm: trio.CancelScope) -> None:
        """Ring when the next certificate wants a look."""
        times = [self._agenda.next(), *(self._next_of(issuer) for issuer in self._queues)]
        first = min((at for at in times if at is not None), default=None)
        if first is not None:
            with alarm:
                await trio.sleep(max(0.0, first - self._clock.now().timestamp()))
                self.bell.ring()

    def _next_of(self, issuer: str) -> float | None:
        """When this CA's queue may go on by itself; with all its orders under way, the end of one wakes us."""
        return self._queues[issuer].next() if self._has_slot(issuer) else None

    def _schedule(self, key: str) -> None:
        """Note when a certificate wants to be looked at next."""
        certificate, now = self._state.certificates.get(key), self._clock.now()
        if certificate is None:
            self._agenda.remove(key)
            self._held.pop(key, None)
            return
        times: list[datetime] = []
        if certificate.issuer not in self._settings.issuers:
            times.append(now + timedelta(seconds=self._interval))  # it may be configured by then
        else:
            asked_at = self._asking.when(certificate)
            if asked_at is not None:
                times.append(asked_at)
            if (planned := self._planned(certificate, now)) is not None:
                times.append(max(planned.due, self._held.get(key, planned.due)))
        if times:
            self._agenda.put(key, min(times).timestamp())
        else:
            self._agenda.remove(key)

    def _planned(self, certificate: Certificate, now: datetime) -> RenewalPlan | None:
        """The plan of what neither waits in a queue nor is under way."""
        key = certificate.id.key
        queue = self._queues.get(certificate.issuer)
        if key in self._under_way or (queue is not None and key in queue):
            return None
        return self._plans.plan(certificate, now)

    def _look(self, key: str) -> None:
        """It is time for something."""
        certificate, now = self._state.certificates.get(key), self._clock.now()
        if certificate is not None and certificate.issuer in self._settings.issuers:
            asked_at = self._asking.when(certificate)
            if asked_at is not None and asked_at <= now:
                self._asking.add(certificate)
            planned = self._planned(certificate, now)
            if planned is not None and planned.due <= now and self._held.get(key, now) <= now:
                self._held.pop(key, None)
                self._queues.setdefault(certificate.issuer, Queue()).add(key, _urgency(certificate))
        self._schedule(key)

    def _has_slot(self, issuer: str) -> bool:
        config = self._settings.issuers.get(issuer)
        return config is None or self._flying[issuer] < config.max_orders

    async def _start(self, issuer: str, nursery: trio.Nursery) -> None:
        """Start what is due at one CA, as far as there is room."""
        queue, looked = self._queues[issuer], 0
        while self._has_slot(issuer) and (first := queue.pop(self._clock.now().timestamp())) is not None:
            key = first[1]
            certificate, now = self._state.certificates.get(key), self._clock.now()
            planned = None if certificate is None else self._planned(certificate, now)
            gone = certificate is None or certificate.issuer != issuer or issuer not in self._settings.issuers
            if certificate is None or gone or planned is None or planned.due > now:
                self._schedule(key)  # it has been renewed, changed or removed since
                continue
            try:
                seconds, limit = self._room(certificate, now)
            except AcmeManagerError as error:  # names that nobody could order, in a record of another program
                self._failed(certificate, error)
                self._schedule(key)
                continue
            if seconds > 0:
                self._hold_back(certificate, limit, seconds, now)
                self._note(certificate, waits_for=limit)
            else:
                self._under_way.add(key)
                self._flying[issuer] += 1
                nursery.start_soon(self._renew, issuer, certificate, planned)
            looked += 1
            if looked % _BATCH == 0:
                await trio.lowlevel.checkpoint()
        if not len(queue):
            del self._queues[issuer]

    def _hold_back(self, certificate: Certificate, limit: str, seconds: float, now: datetime) -> None:
        """Wait for room, but not past the moment in which it is urgent: from then on another CA may do."""
        key, life = certificate.id.key, life_of(certificate)
        if life is not None:
            calm = (life.end - life.length * _URGENT - now).total_seconds()
            # Soon again where no other CA has done, be the wait for the own one of days.
            seconds = min(seconds, calm if calm > 0 else backoff(_MANY, (life.end - now).total_seconds(), None, key))
        queue = self._queues.setdefault(certificate.issuer, Queue())
        queue.hold_back(key, _urgency(certificate), limit, now.timestamp() + seconds)

    def _room(self, certificate: Certificate, now: datetime) -> tuple[float, str]:
        life, state = life_of(certificate), self._state.renewal(certificate)
        urgent = life is not None and (life.end - now) <= life.length * _URGENT
        if urgent and self._settings.issuers[certificate.issuer].fallback:
            return 0.0, ""  # an order without room goes to a CA that stands in
        return self._budget.wait(
            certificate.issuer,
            certificate.identifiers,
            renewal=not certificate.issued_by,
            ari=state.ari is not None and not certificate.issued_by,
            urgent=urgent,
        )

    async def _renew(self, issuer: str, certificate: Certificate, planned: RenewalPlan) -> None:
        key = certificate.id.key
        try:
            await self._certificates.renew(certificate.id, planned.reason, quiet=True)
        except BudgetSpent as error:  # others have taken the room meanwhile, or it is urgent and no other CA has done
            seconds = error.retry_after or _SOON.total_seconds()
            self._hold_back(certificate, f"the CA's limits for {key}", seconds, self._clock.now())
        except (OperationInProgress, NotLeader, OutcomeUnknown, CertificateNotFound):
            self._held[key] = self._clock.now() + _SOON
        except AcmeManagerError as error:
            self._failed(certificate, error)
        except Exception as error:  # noqa: BLE001 a bug, which jobs.py has logged; it must not stop the others
            self._failed(certificate, AcmeManagerError(f"unexpected {type(error).__name__}; the log has it"))
        else:
            self._metrics.renewed(issuer)
            self._forget(certificate)
        finally:
            self._under_way.discard(key)
            self._flying[issuer] -= 1
            self._touch(key)

    def _failed(self, certificate: Certificate, error: AcmeManagerError) -> None:
        """Remember a failure, and when to try again. What only a person can cure is said once, and loudly."""
        key, now, cause = certificate.id.key, self._clock.now(), classify(error)
        known, life = self._state.renewal(certificate), life_of(certificate)
        failures = known.failures + cause.counted
        left = (life.end - now).total_seconds() if life is not None else 0.0
        # Without a count it is nothing about this certificate, and the first step of the back-off will do.
        wait = backoff(failures if cause.counted else 1, left, cause.retry_after, key)
        retry_at, sentence = now + timedelta(seconds=wait), cause.sentence[:_LONGEST_ERROR]
        self._metrics.failed(certificate.issuer, cause)
        facts = {"key": key, "cause": cause.name, "error": sentence, "failures": failures}
        facts |= {"next_try": retry_at.isoformat(timespec="seconds"), "expires": certificate.expires}
        if cause.cure is Cure.PERSON and (cause.name, sentence) != (known.cause, known.error):
            _log.error("renewal fails until somebody acts", **facts)
        else:
            _log.info("renewal failed", **facts)
        self._note(
            certificate,
            failures=failures,
            error=sentence,
            cause=cause.name,
            cure=cause.cure.value,
            retry_at=retry_at,
            waits_for="",
        )

    def _note(self, certificate: Certificate, **changes: object) -> None:
        known = self._state.renewal(certificate)
        self._publish(certificate.id.key, attrs.evolve(known, **changes))  # type: ignore[arg-type]  # by name

    def _forget(self, renewed: Certificate) -> None:
        """What was known of the certificate before is of no use; what has been learnt of the new one stays."""
        known = self._state.renewals.get(renewed.id.key)
        if known is not None and known.leaf == renewed.fingerprint:
            self._publish(renewed.id.key, NOTHING_KNOWN)

    def _publish(self, key: str, state: RenewalState) -> None:
        try:
            self._state.publish_renewal(key, state)
        except AcmeManagerError as error:  # this node is about to learn that it leads no more
            _log.warning("state of a renewal not published", key=key, error=str(error))
            self._held[key] = self._clock.now() + _SOON

    def _show(self, now: datetime) -> int:
        """Set the metrics, and return how many wait for room."""
        due, deferred = len(self._under_way) + sum(map(len, self._queues.values())), 0
        self._metrics.deferred.clear()
        for issuer in self._settings.issuers:
            waiting = self._queues[issuer].waiting() if issuer in self._queues else 0
            self._metrics.deferred.labels(issuer).set(waiting)
            deferred += waiting
        self._metrics.due.set(due)
        if now - self._summarized >= timedelta(seconds=self._interval):
            self._summarized = now
            self._metrics.summarize(certificates=len(self._state.certificates), due=due, deferred=deferred)
        return deferred

    def _show_nothing(self) -> None:
        self._metrics.due.set(0)
        self._metrics.deferred.clear()


async def _in_batches(keys: Iterable[str], work: Callable[[str], None]) -> int:
    number = 0
    for number, key in enumerate(keys, 1):
        try:
            work(key)
        except Exception:  # noqa: BLE001 a record that nobody foresaw must not keep the others from being renewed
            _log.exception("certificate can't be planned, left out", key=key)
        if number % _BATCH == 0:
            await trio.lowlevel.checkpoint()
    return number


def _urgency(certificate: Certificate) -> float:
    life = life_of(certificate)
    return life.end.timestamp() if life is not None else datetime.max.replace(tzinfo=UTC).timestamp()
