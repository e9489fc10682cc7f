"""What we may order at each CA: kept in the shared map, so that the next leader goes on where the last one stopped.

The map lasts as long as any node runs. After a stop of all nodes the budgets begin full, and a CA that knows better
says so once: its `Retry-After` is obeyed before anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import structlog

from acme_manager.config.model import IssuerConfig
from acme_manager.domain import budget
from acme_manager.domain.budget import Limits, Wanted
from acme_manager.domain.names import Identifier
from acme_manager.domain.refusals import blamed, failed_names
from acme_manager.errors import AcmeManagerError, BudgetSpent, IssuanceFailed, IssuerRateLimited, Unavailable
from acme_manager.ports import Clock, SharedMap
from acme_manager.services.settings import Settings

_log = structlog.get_logger(__name__)

_PREFIX = "budget/"
_MOST = 20_000  # entries of one issuer; beyond that those go that say least, being nearly full
_SWEEP_EVERY = timedelta(minutes=1)
_UNSAID, _LONGEST = 900.0, 7 * 86400.0  # seconds: a pause that the CA gives no length of, and the longest we believe


class Budgets:
    """One ledger per issuer. All nodes may ask; only the leader spends."""

    def __init__(self, settings: Settings, shared: SharedMap, clock: Clock) -> None:
        self._settings, self._shared, self._clock = settings, shared, clock
        self._ledgers: dict[str, dict[str, datetime]] = {}
        self._swept = datetime.min.replace(tzinfo=UTC)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Keep the ledgers up to date for the length of a block."""
        with self._shared.watch(_PREFIX, self._changed):
            yield

    def now(self) -> datetime:
        """The instant that `wait` would reckon from."""
        return self._clock.now()

    def limits(self, issuer: str) -> Limits:
        """What that CA allows; everything, where it is not configured any more."""
        config = self._settings.issuers.get(issuer)
        return budget.PRESETS["none"] if config is None else config.limits

    def ledger(self, issuer: str) -> budget.Ledger:
        """What is known of that CA. A view."""
        return self._ledgers.get(issuer, {})

    def configs(self) -> Mapping[str, IssuerConfig]:
        """The issuers there are, by name."""
        return self._settings.issuers

    def wait(
        self,
        issuer: str,
        identifiers: Iterable[Identifier],
        *,
        renewal: bool = False,
        ari: bool = False,
        urgent: bool = False,
    ) -> tuple[float, str]:
        """Seconds until there is room for an order, and whose limit says so: 0.0 and "" when there is room.

        `renewal`: it is for exactly the names of a certificate of this CA; `ari`: it will say which one it replaces. A
        renewal that is not `urgent` leaves a share of the account's orders to people.
        """
        patient = renewal and not urgent
        wanted = Wanted(identifiers=tuple(identifiers), renewal=renewal, ari=ari, patient=patient)
        needed, reason = budget.wait(self.limits(issuer), self.ledger(issuer), wanted, self._clock.now())
        return needed.total_seconds(), reason

    def spend(self, issuer: str, identifiers: Iterable[Identifier], *, renewal: bool, ari: bool = False) -> None:
        """Take note of an order that is about to be placed. Raises NotLeader, NoQuorum."""
        at, wanted = self._clock.now(), Wanted(identifiers=tuple(identifiers), renewal=renewal, ari=ari)
        self._sweep(at)
        self._write(issuer, budget.spend(self.limits(issuer), self.ledger(issuer), wanted, at))

    def admit(self, issuer: str, identifiers: Iterable[Identifier], *, renewal: bool, ari: bool = False) -> None:
        """Spend what an order needs, or raise BudgetSpent with the seconds until there is room for it."""
        names = tuple(identifiers)
        seconds, reason = self.wait(issuer, names, renewal=renewal, ari=ari, urgent=True)
        if seconds:
            raise BudgetSpent(
                f"issuer '{issuer}': not ordered, since the CA would refuse it now: {reason}"
                f" (our budget for this CA, issuer.{issuer}.limits); there is room in {seconds:.0f} s",
                retry_after=seconds,
            )
        self.spend(issuer, names, renewal=renewal, ari=ari)

    @contextmanager
    def ordering(
        self, issuer: str, identifiers: Iterable[Identifier], *, renewal: bool, ari: bool = False, resumed: bool = False
    ) -> Iterator[None]:
        """Place an order, or take up one that was placed before, and see it through inside of this block.

        Raises BudgetSpent before the block begins. An order that comes to nothing gives back what only certificates
        cost; what the CA says to it counts for the next.
        """
        wanted, began = Wanted(identifiers=tuple(identifiers), renewal=renewal, ari=ari), self._clock.now()
        if not resumed:
            self.admit(issuer, wanted.identifiers, renewal=renewal, ari=ari)
        try:
            yield
        except Unavailable:
            raise  # it may still come to something
        except AcmeManagerError as error:
            if not resumed:
                given_back = budget.refund(self.limits(issuer), self.ledger(issuer), wanted, began, self._clock.now())
                self._as_leader(issuer, given_back)
            self.refused(issuer, wanted.identifiers, error)
            raise
        self.issued(issuer, wanted.identifiers)

    def issued(self, issuer: str, identifiers: Iterable[Identifier]) -> None:
        """All of these names have been validated: failures before that were not the last of a row."""
        forgotten = budget.succeed(self.ledger(issuer), identifiers)
        self._as_leader(issuer, dict.fromkeys(forgotten))

    def refused(self, issuer: str, identifiers: Iterable[Identifier], error: AcmeManagerError) -> None:
        """Learn from what a CA has said to an order: how long to leave it alone, whose validation has failed."""
        names, at, ledger = tuple(identifiers), self._clock.now(), self.ledger(issuer)
        if isinstance(error, BudgetSpent) or not isinstance(error, IssuanceFailed):
            return  # the CA has not been asked, or has not answered
        if isinstance(error, IssuerRateLimited):
            seconds = min(_UNSAID if error.retry_after is None else error.retry_after, _LONGEST)
            buckets = blamed(error.problem, names)
            _log.warning(
                "the CA wants fewer orders",
                issuer=issuer,
                about=", ".join(bucket.about for bucket in buckets) or "all orders",
                seconds=seconds,
                error=str(error),
            )
            until = at + timedelta(seconds=seconds)
            self._as_leader(issuer, {bucket.pause: until for bucket in buckets})
        elif error.problem is not None:
            failed = failed_names(error.problem, names)
            self._as_leader(issuer, budget.fail(self.limits(issuer), ledger, failed, at))

    def _as_leader(self, issuer: str, changes: Mapping[str, datetime | None]) -> None:
        """Write what an order has taught us; a node that leads no more has nothing to say, and a result to report."""
        try:
            self._write(issuer, changes)
        except Unavailable as error:
            _log.info("budget not updated", issuer=issuer, error=str(error))

    def _write(self, issuer: str, changes: Mapping[str, datetime | None]) -> None:
        for key, at in changes.items():
            if at is None:
                self._shared.remove(_PREFIX + f"{issuer}/{key}")
            else:
                self._shared.put(_PREFIX + f"{issuer}/{key}", at.isoformat().encode())

    def _sweep(self, at: datetime) -> None:
        """Forget what is over, what is too much, and whole issuers that are configured no more."""
        if abs(at - self._swept) < _SWEEP_EVERY:
            return
        self._swept = at
        for issuer, ledger in tuple(self._ledgers.items()):
            known = issuer in self._settings.issuers
            over = [key for key, until in ledger.items() if until <= at or not known]
            self._write(issuer, dict.fromkeys(over))
            if len(ledger) > _MOST:
                least = sorted(ledger, key=lambda key: ledger[key])[: len(ledger) - _MOST]
                self._write(issuer, dict.fromkeys(least))
                _log.warning("more budgets than can be kept, some forgotten", issuer=issuer, forgotten=len(least))

    def _changed(self, key: str, value: bytes | None) -> None:
        issuer, _, inner = key.removeprefix(_PREFIX).partition("/")
        ledger = self._ledgers.setdefault(issuer, {})
        if value is None:
            ledger.pop(inner, None)
            if not ledger:
                del self._ledgers[issuer]
            return
        try:
            at = datetime.fromisoformat(value.decode())
            ledger[inner] = at if at.tzinfo else at.replace(tzinfo=UTC)
        except ValueError as error:  # a node of another version wrote it
            _log.warning("budget in the shared map can't be read, left out", key=key, error=str(error))
