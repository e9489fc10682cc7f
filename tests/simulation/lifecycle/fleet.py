"""Who has certificates in the simulated year: names, lifetimes, wishes for renewal, and troubles of their own."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

import attrs

from acme_manager.domain.request import CertificateParams
from tests.unit.services.world import NOW

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

LIFETIMES = {f"days{days}": days * DAY for days in (398, 200, 100, 64, 47, 45)} | {"hours160": 160 * HOUR}
"""By the name of the CA's profile."""

ARI, PLAIN = "le", "test"
"""A CA that answers RFC 9773, and one that does not, for which the first stands in."""

_SHARE_OF_SHORT_LIVED = 0.04
_PER_DOMAIN = 10
_WINDOWS = ("", "", "", "30", "10-20", "25-35")  # renewal_days; empty: the configuration's


@attrs.frozen
class Trouble:
    """From when to when a name can't be validated, and what the CA says then."""

    start: datetime
    end: datetime
    code: str


@attrs.frozen(eq=False)
class Member:
    """One certificate of the fleet."""

    params: CertificateParams
    joins: timedelta
    troubles: tuple[Trouble, ...]
    for_good: bool  # its trouble never ends: nobody could keep it from expiring

    @property
    def names(self) -> frozenset[str]:
        """All names of the certificate."""
        return frozenset({self.params.domain, *filter(None, self.params.san.split(","))})

    @property
    def lifetime(self) -> timedelta:
        """How long each of its certificates is valid."""
        return LIFETIMES[self.params.profile]

    def trouble(self, at: datetime) -> Trouble | None:
        """What is wrong with its names at that time."""
        return next((one for one in self.troubles if one.start <= at < one.end), None)

    def well(self, start: datetime, end: datetime) -> bool:
        """Whether nothing was wrong with them from one instant to another."""
        return all(one.end < start or end < one.start for one in self.troubles)


def make_fleet(count: int, length: timedelta, rng: Random, *, share_of_ari: float, crowd: int) -> list[Member]:
    """The crowd arrives on the first day, and half of the rest in two. One in 100 has a trouble for good, one in ten
    some that pass."""
    domains = ["crowd.example" if number < crowd else f"t{number // _PER_DOMAIN}.example" for number in range(count)]
    arrival = [DAY if number < crowd else (2 if number % 2 else 14) * DAY for number in range(count)]
    return [
        _member(number, domain, latest * rng.random(), length, rng, share_of_ari)
        for number, (domain, latest) in enumerate(zip(domains, arrival, strict=True))
    ]


def _member(
    number: int, registered: str, joins: timedelta, length: timedelta, rng: Random, share_of_ari: float
) -> Member:
    domain = f"h{number}.{registered}"
    names = list(LIFETIMES)
    profile = names[-1] if rng.random() < _SHARE_OF_SHORT_LIVED else names[number % (len(names) - 1)]
    params = CertificateParams(
        domain=domain,
        san=f"www.{domain}" if number % 3 == 0 else "",
        issuer=ARI if rng.random() < share_of_ari else PLAIN,
        profile=profile,
        renewal_days=rng.choice(_WINDOWS),
    )
    for_good = number % 100 == 50
    return Member(params, joins, _troubles(number, LIFETIMES[profile], length, rng, for_good=for_good), for_good)


def _troubles(
    number: int, lifetime: timedelta, length: timedelta, rng: Random, *, for_good: bool
) -> tuple[Trouble, ...]:
    if for_good:
        code = rng.choice(("caa", "dns", "unauthorized"))
        return (Trouble(NOW + length * rng.uniform(0.1, 0.6), datetime.max.replace(tzinfo=NOW.tzinfo), code),)
    if number % 10 != 7:
        return ()
    found = []
    for _ in range(rng.randint(1, 3)):
        start = NOW + length * rng.random()
        found.append(
            Trouble(start, start + lifetime * rng.uniform(0.005, 0.1), rng.choice(("dns", "connection", "caa")))
        )
    return tuple(found)
