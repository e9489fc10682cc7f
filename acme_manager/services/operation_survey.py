"""How far operations are: counted over the metadata of all certificates, on whichever node is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs
import trio

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.operation import MOST_FAILURES, Failure, Operation
from acme_manager.domain.renewal_state import RenewalState
from acme_manager.services.state import State

_BATCH = 200  # certificates looked at without letting others run


@attrs.frozen(kw_only=True)
class Progress:
    """`left` is everything that is not done.

    Of it `failed` was tried and is tried again, and `waiting_for_host` can only be done by a host that has the key.
    `unasked` may come on top: their CAs have not yet said when they want them renewed.
    """

    total: int
    left: int
    failed: int = 0
    waiting_for_host: int = 0
    unasked: int = 0
    failures: tuple[Failure, ...] = ()  # at most MOST_FAILURES

    @property
    def done(self) -> int:
        """How many are."""
        return self.total - self.left

    def ends_at(self, operation: Operation, now: datetime) -> datetime | None:
        """When the last one is going to be done at the speed that it had so far; None where that can't be told."""
        active = operation.active_at(milliseconds(now))
        if operation.state.over or not self.done or not active:
            return None
        return now + timedelta(milliseconds=active / self.done * self.left)

    def per_hour(self, operation: Operation, now: datetime) -> float:
        """How many an hour were done, pauses left out."""
        active = operation.active_at(milliseconds(now))
        return round(self.done / (active / 3_600_000), 1) if active else 0.0


Visit = Callable[[Certificate, RenewalState], None]


async def visit(state: State, operation: Operation, shown: Visit) -> None:
    """Show everything that is left of an operation, letting others run in between."""
    for number, (_, certificate) in enumerate(tuple(state.certificates.items()), 1):
        known = state.renewal(certificate)
        if operation.covers(certificate, known):
            shown(certificate, known)
        if number % _BATCH == 0:
            await trio.lowlevel.checkpoint()


async def candidates(state: State, operation: Operation) -> list[Certificate]:
    """What an operation would select if the CAs wanted all of it early."""
    wider = attrs.evolve(operation, selector=attrs.evolve(operation.selector, ari=False))
    found: list[Certificate] = []
    await visit(state, wider, lambda certificate, _: found.append(certificate))
    return found


async def progress(state: State, operation: Operation, pending: Callable[[str], bool] = lambda _key: False) -> Progress:
    """How far it is. `pending` knows the keys that a CA is just being asked about, which only the leader does."""
    if operation.state.over:
        failed = len(operation.failures)
        return Progress(total=operation.total, left=operation.left, failed=failed, failures=operation.failures)
    counts: Counter[str] = Counter()
    failures: list[Failure] = []

    def count(certificate: Certificate, known: RenewalState) -> None:
        counts["left"] += 1
        counts["waiting_for_host"] += operation.wants_new_keys and bool(certificate.csr)
        if known.error:
            counts["failed"] += 1
            if len(failures) < MOST_FAILURES:
                failures.append(Failure(key=certificate.id.key, cause=known.cause, error=known.error))

    await visit(state, operation, count)
    asked = await candidates(state, operation) if operation.selector.ari else []
    return Progress(
        total=max(operation.total, counts["left"]),
        left=counts["left"],
        failed=counts["failed"],
        waiting_for_host=counts["waiting_for_host"],
        unasked=sum(pending(one.id.key) or state.renewal(one).ask_failures > 0 for one in asked),
        failures=tuple(failures),
    )
