"""A CA's side of its rate limits, as Let's Encrypt describes them (https://letsencrypt.org/docs/rate-limits/).

It shares no code with the server: token buckets in whole numbers, which know nothing of theoretical arrival times.
Orders are counted when they arrive, certificates when they are issued. It finds out by itself what is a renewal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

import attrs

from acme_manager.errors import IssuerRateLimited, Problem

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


@attrs.define
class TokenBucket:
    """Exact: `level` counts in tokens times the microseconds of the period."""

    size: int
    period: timedelta
    at: datetime
    level: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.level = self.size * self._cost

    @property
    def _cost(self) -> int:
        return self.period // _MICROSECOND

    def missing(self, at: datetime) -> timedelta:
        """How long until there is a token."""
        self._refill(at)
        return max(0, -((self.level - self._cost) // self.size)) * _MICROSECOND

    def take(self, at: datetime) -> None:
        """Take one, if there is one."""
        if not self.missing(at):
            self.level -= self._cost

    def _refill(self, at: datetime) -> None:
        gained = max(0, (at - self.at) // _MICROSECOND) * self.size
        self.level = min(self.size * self._cost, self.level + gained)
        self.at = max(at, self.at)


def last_two_labels(name: str) -> str:
    """The registered domain, of names below suffixes of one label."""
    return ".".join(name.split(".")[-2:])


class LetsEncrypt:
    """Says no to what is too much, and keeps count of how often it had to."""

    def __init__(self, registered: Callable[[str], str] = last_two_labels) -> None:
        self.refusals: list[str] = []
        self.orders = 0
        self._registered = registered
        self._buckets: dict[tuple[str, object], TokenBucket] = {}
        self._issued: set[frozenset[str]] = set()
        self._shut_out: set[str] = set()

    def new_order(self, names: Collection[str], at: datetime, *, replaces: bool = False) -> None:
        """Take an order. Raises IssuerRateLimited as the client would, with Retry-After."""
        wanted = frozenset(names)
        paused = sorted(_bases(wanted) & self._shut_out)
        if paused:
            self._refuse(
                f"Your account is temporarily prevented from requesting certificates for {', '.join(paused)}.", DAY
            )
        if not replaces:
            self._check(wanted, at)
            if wanted not in self._issued:
                self._bucket("orders", "", 300, 3 * HOUR, at).take(at)
        self.orders += 1

    def failed(self, name: str, at: datetime) -> None:
        """A validation has failed. Too many without a success, and the name is shut out until a person intervenes."""
        base = name.removeprefix("*.")
        self._bucket("failures", base, 5, HOUR, at).take(at)
        in_a_row = self._bucket("in a row", base, 1152, 1152 * DAY, at)
        if in_a_row.missing(at):
            self._shut_out.add(base)
        in_a_row.take(at)

    def issued(self, names: Collection[str], at: datetime) -> None:
        """A certificate has been issued."""
        wanted = frozenset(names)
        if wanted not in self._issued:
            for domain in {self._registered(name) for name in wanted}:
                self._bucket("domain", domain, 50, 7 * DAY, at).take(at)
        self._bucket("set", wanted, 5, 7 * DAY, at).take(at)
        self._issued.add(wanted)
        for name in _bases(wanted):
            self._buckets.pop(("in a row", name), None)

    def _check(self, wanted: frozenset[str], at: datetime) -> None:
        if wanted not in self._issued:
            missing = self._bucket("orders", "", 300, 3 * HOUR, at).missing(at)
            if missing:
                self._refuse("too many new orders (300) from this account in the last 3h0m0s", missing)
            for domain in sorted({self._registered(name) for name in wanted}):
                missing = self._bucket("domain", domain, 50, 7 * DAY, at).missing(at)
                if missing:
                    self._refuse(
                        f'too many certificates (50) already issued for "{domain}" in the last 168h0m0s', missing
                    )
        missing = self._bucket("set", wanted, 5, 7 * DAY, at).missing(at)
        if missing:
            self._refuse(
                "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s",
                missing,
            )
        for name in sorted(_bases(wanted)):
            missing = self._bucket("failures", name, 5, HOUR, at).missing(at)
            if missing:
                self._refuse(f'too many failed authorizations (5) for "{name}" in the last 1h0m0s', missing)

    def _bucket(self, kind: str, about: object, size: int, period: timedelta, at: datetime) -> TokenBucket:
        return self._buckets.setdefault((kind, about), TokenBucket(size, period, at))

    def _refuse(self, detail: str, retry: timedelta) -> None:
        self.refusals.append(detail)
        said = f"{detail}, retry after some time: see https://letsencrypt.org/docs/rate-limits/"
        problem = Problem("urn:ietf:params:acme:error:rateLimited", said, 429)
        raise IssuerRateLimited(said, problem, retry.total_seconds())


def _bases(names: Collection[str]) -> set[str]:
    return {name.removeprefix("*.") for name in names}
