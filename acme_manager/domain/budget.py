"""Budgets: what we may order at a CA, so that it never has to refuse us for its rate limits.

Every limit is a token bucket kept as one instant, when it is full again (the generic cell rate algorithm). Let's
Encrypt keeps its own in the same way, so ours can be a bound for them: at any time they hold no less than ours.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import attrs

from acme_manager.domain.names import Identifier
from acme_manager.domain.suffixes import registered_domain

_LAG = timedelta(minutes=5)
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@attrs.frozen
class Limit:
    """A bucket of `count` tokens that fills within `period` seconds, one token at a time. `full_at` of one that nobody
    has drawn on is any instant of the past."""

    count: int
    period: float

    @property
    def interval(self) -> timedelta:
        """What it takes for one token to come back."""
        return timedelta(microseconds=-(-round(self.period * 10**6) // self.count))

    @property
    def lag(self) -> timedelta:
        """How much later than we the CA may count: it counts orders when they arrive, and certificates when they are
        issued. It also covers clocks of nodes that differ."""
        return min(_LAG, self._window / 20)

    @property
    def _window(self) -> timedelta:
        return self.interval * self.count

    def wait(self, full_at: datetime, at: datetime, *, keep: float = 0) -> timedelta:
        """How long until there is a token to spend, over a share of `keep` that others are to find in the bucket."""
        most = max(timedelta(), (self._window - self.interval) - self._window * keep)
        return max(timedelta(), self._drained(full_at, at) - most)

    def time_for(self, full_at: datetime, at: datetime, count: int, *, keep: float = 0) -> timedelta:
        """How long until the last of so many tokens can be spent, each as soon as it is there; `keep` as above."""
        most = max(timedelta(), (self._window - self.interval) - self._window * keep)
        return max(timedelta(), self._drained(full_at, at) + self.interval * (count - 1) - most)

    def spend(self, full_at: datetime, at: datetime) -> datetime:
        """When the bucket will be full with one token less in it; none can be emptier than empty."""
        counted = at + self.lag
        return min(max(full_at, counted) + self.interval, counted + self._window)

    def left(self, full_at: datetime, at: datetime) -> int:
        """How many tokens there are."""
        return max(0, (self._window - self._drained(full_at, at)) // self.interval)

    def _drained(self, full_at: datetime, at: datetime) -> timedelta:
        # A bucket that says more was written by a clock far ahead of ours.
        return max(timedelta(), min(full_at - at, self._window + self.lag))

    @property
    def per(self) -> str:
        """The period as text, like `3h`."""
        unit = next((unit for unit, seconds in _UNITS.items() if self.period % seconds == 0), "s")
        return f"{self.period / _UNITS[unit]:g}{unit}"

    def __str__(self) -> str:
        return f"{self.count}/{self.per}"


class Kind(enum.StrEnum):
    """What is limited. The value is the setting's name."""

    ORDERS = "new_orders"
    DOMAIN = "certificates_per_domain"
    SET = "certificates_per_set"
    FAILURES = "failed_authorizations"
    IN_A_ROW = "consecutive_failures"


class Exempt(enum.StrEnum):
    """Which renewals a CA does not refuse for its limits."""

    NONE = "none"
    ARI = "ari"
    """Orders that say which certificate they replace (RFC 9773), from every limit."""
    ALL = "all"
    """Those, and other orders for the very names of an earlier certificate, from the limits of orders and domains."""


@attrs.frozen(kw_only=True)
class Limits:
    """`issuer.<name>.limits`: a CA's rate limits, and what none of its own figures replaces."""

    preset: str
    new_orders: Limit | None = None  # of our account
    certificates_per_domain: Limit | None = None  # of a registered domain, an IPv4 address, an IPv6 /64
    certificates_per_set: Limit | None = None  # of exactly the same names
    failed_authorizations: Limit | None = None  # of a name
    consecutive_failures: Limit | None = None  # of a name, without a success between them
    renewals_exempt: Exempt = Exempt.NONE

    def of(self, kind: Kind) -> Limit | None:
        """The limit of that kind, if there is one."""
        limit: Limit | None = getattr(self, kind.value)
        return limit


_HOUR, _DAY = 3600.0, 86400.0
PRESETS = {
    "letsencrypt": Limits(
        preset="letsencrypt",
        new_orders=Limit(300, 3 * _HOUR),
        certificates_per_domain=Limit(50, 7 * _DAY),
        certificates_per_set=Limit(5, 7 * _DAY),
        failed_authorizations=Limit(5, _HOUR),
        consecutive_failures=Limit(1152, 1152 * _DAY),
        renewals_exempt=Exempt.ALL,
    ),
    "letsencrypt-staging": Limits(
        preset="letsencrypt-staging",
        new_orders=Limit(1500, 3 * _HOUR),
        failed_authorizations=Limit(200, _HOUR),
        renewals_exempt=Exempt.ALL,
    ),
    "none": Limits(preset="none"),
}
"""https://letsencrypt.org/docs/rate-limits/ and https://letsencrypt.org/docs/staging-environment/, August 2026."""

_HOSTS = {
    "acme-v02.api.letsencrypt.org": "letsencrypt",
    "acme-staging-v02.api.letsencrypt.org": "letsencrypt-staging",
}


def preset_for(host: str) -> Limits:
    """The limits of the CA whose directory is on that host, as far as we know them."""
    return PRESETS[_HOSTS.get(host.lower(), "none")]


@attrs.frozen
class Bucket:
    """What has a limit of its own: a domain, a set of names, a name; an account where `about` is empty."""

    kind: Kind
    about: str = ""

    @property
    def key(self) -> str:
        """Its name in a Ledger."""
        return f"{self.kind}/{self.about}"

    @property
    def pause(self) -> str:
        """The name in a Ledger of the CA's own word on when to come back."""
        return f"paused/{self.key}"

    @property
    def shown(self) -> str:
        """`about` without what tells sets apart that begin alike."""
        return self.about.partition(" #")[0]

    @classmethod
    def of(cls, key: str) -> Bucket | None:
        """Whose name that is, if it is the name of a bucket."""
        kind, _, about = key.partition("/")
        return cls(Kind(kind), about) if kind in set(Kind) else None

    @classmethod
    def of_pause(cls, key: str) -> Bucket | None:
        """Likewise, of a pause."""
        paused, _, inner = key.partition("/")
        return cls.of(inner) if paused == "paused" else None

    def in_words(self, limit: Limit) -> str:
        """What there is a limit of, for people."""
        what, about = {
            Kind.ORDERS: ("new orders", "of our account"),
            Kind.DOMAIN: ("certificates", f"for names of {self.about}"),
            Kind.SET: ("certificates", f"for exactly these names ({self.shown})"),
            Kind.FAILURES: ("failed validations", f"of {self.about}"),
            Kind.IN_A_ROW: ("failed validations in a row", f"of {self.about}"),
        }[self.kind]
        return f"{limit.count} {what} per {limit.per} {about}"


ACCOUNT = Bucket(Kind.ORDERS)
Ledger = Mapping[str, datetime]
"""What is known of one CA: when buckets are full, when pauses end. What lies in the past is as good as not there."""


@attrs.frozen(kw_only=True)
class Wanted:
    """An order to place. `renewal`: there is a certificate with exactly these names from this CA; `ari`: the order says
    which one it replaces; `patient`: it can wait, so it leaves a share of the account's bucket to those who can't."""

    identifiers: tuple[Identifier, ...]
    renewal: bool = False
    ari: bool = False
    patient: bool = False


KEPT_FOR_PEOPLE = 0.1


def wait(limits: Limits, ledger: Ledger, wanted: Wanted, at: datetime) -> tuple[timedelta, str]:
    """How long until the CA takes this order, and who says so, in words that are empty when it does already."""
    longest, reason = timedelta(), ""
    asked = _asked(limits, wanted) if ledger else []
    for bucket in asked:
        limit, known = limits.of(bucket.kind), ledger.get(bucket.key)
        if limit is not None and known is not None:
            keep = KEPT_FOR_PEOPLE if wanted.patient and bucket == ACCOUNT else 0
            needed = limit.wait(known, at, keep=keep)
            if needed > longest:
                longest, reason = needed, bucket.in_words(limit)
    for bucket in (ACCOUNT, *asked):
        paused = ledger.get(bucket.pause, at) - at
        if paused > longest:
            longest, reason = paused, f"the CA told us to wait{f' ({bucket.shown})' if bucket.about else ''}"
    return longest, reason


def needed(limits: Limits, wanted: Wanted) -> list[Bucket]:
    """The buckets that an order takes from and waits for."""
    return [] if _exempt_by_ari(limits, wanted) else _taken(limits, wanted)


def time_for(limits: Limits, ledger: Ledger, orders: Mapping[Bucket, int], at: datetime) -> tuple[timedelta, str]:
    """How long until a CA has taken the last of many patient orders, by how many need each bucket; and who says so."""
    longest, reason = max(ledger.get(ACCOUNT.pause, at) - at, timedelta()), "the CA told us to wait"
    for bucket, count in orders.items():
        limit = limits.of(bucket.kind)
        if limit is not None:
            keep = KEPT_FOR_PEOPLE if bucket == ACCOUNT else 0
            wait_for = limit.time_for(ledger.get(bucket.key, at), at, count, keep=keep)
            if wait_for > longest:
                longest, reason = wait_for, bucket.in_words(limit)
    return longest, reason if longest else ""


def spend(limits: Limits, ledger: Ledger, wanted: Wanted, at: datetime) -> dict[str, datetime]:
    """What the ledger has to say once this order is placed."""
    return _draw(limits, ledger, _taken(limits, wanted), at)


def refund(limits: Limits, ledger: Ledger, wanted: Wanted, spent_at: datetime, at: datetime) -> dict[str, datetime]:
    """What it has to say once an order has come to nothing: the CA counts certificates when it issues them.

    What may have come back of its token by itself meanwhile, or was not there to be taken, is not given back.
    """
    buckets = [] if _exempt_by_ari(limits, wanted) else [one for one in _taken(limits, wanted) if one != ACCOUNT]
    limited = ((bucket.key, limits.of(bucket.kind)) for bucket in buckets if bucket.key in ledger)
    passed = max(timedelta(), at - spent_at)
    return {key: ledger[key] - (limit.interval - passed) for key, limit in limited if limit and passed < limit.interval}


def fail(limits: Limits, ledger: Ledger, identifiers: Iterable[Identifier], at: datetime) -> dict[str, datetime]:
    """What it has to say once validations of these names have failed."""
    return _draw(limits, ledger, _validations(identifiers), at)


def succeed(ledger: Ledger, identifiers: Iterable[Identifier]) -> list[str]:
    """What it must forget, now that these names have been validated."""
    buckets = (Bucket(Kind.IN_A_ROW, one.base) for one in identifiers)
    return [bucket.key for bucket in buckets if bucket.key in ledger]


def bucket_of(kind: Kind, identifiers: Iterable[Identifier]) -> Iterator[Bucket]:
    """The buckets of a kind that certificates for these names have to do with."""
    match kind:
        case Kind.ORDERS:
            yield ACCOUNT
        case Kind.DOMAIN:
            yield from dict.fromkeys(Bucket(kind, registered_domain(one)) for one in identifiers)
        case Kind.SET:
            names = sorted({one.value for one in identifiers})
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
            yield Bucket(kind, f"{names[0]}{more} #{digest[:16]}")
        case _:
            yield from dict.fromkeys(Bucket(kind, one.base) for one in identifiers)


def _asked(limits: Limits, wanted: Wanted) -> list[Bucket]:
    """Where the CA looks before it takes an order. Names that it has shut out stay so for renewals too."""
    shut_out = list(bucket_of(Kind.IN_A_ROW, wanted.identifiers))
    if _exempt_by_ari(limits, wanted):
        return shut_out
    return [*_taken(limits, wanted), *bucket_of(Kind.FAILURES, wanted.identifiers), *shut_out]


def _taken(limits: Limits, wanted: Wanted) -> list[Bucket]:
    """What an order and its certificate are counted in: the set also counts those that it does not hold back."""
    kinds = [Kind.ORDERS, Kind.DOMAIN, Kind.SET]
    if _exempt_by_ari(limits, wanted) or (limits.renewals_exempt is Exempt.ALL and wanted.renewal):
        kinds = [Kind.SET]
    return [bucket for kind in kinds for bucket in bucket_of(kind, wanted.identifiers)]


def _exempt_by_ari(limits: Limits, wanted: Wanted) -> bool:
    return wanted.ari and limits.renewals_exempt is not Exempt.NONE


def _validations(identifiers: Iterable[Identifier]) -> list[Bucket]:
    names = list(identifiers)
    return [bucket for kind in (Kind.FAILURES, Kind.IN_A_ROW) for bucket in bucket_of(kind, names)]


def _draw(limits: Limits, ledger: Ledger, buckets: Iterable[Bucket], at: datetime) -> dict[str, datetime]:
    limited = ((bucket, limits.of(bucket.kind)) for bucket in buckets)
    return {bucket.key: limit.spend(ledger.get(bucket.key, at), at) for bucket, limit in limited if limit is not None}
