"""What is counted over many rows of the catalogue at once, in small steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import trio

from acme_manager.domain.certificate import Certificate
from acme_manager.services.catalogue_row import BATCH, NEVER, Row
from acme_manager.services.catalogue_views import CryptoInventory, Day, Facets, Weakness

_DAY = 86400.0
_MOST_VALUES = 100  # of a label; the most frequent ones
_MOST_KEYS = 50  # of a weakness
_LIFETIMES = (
    7.0,
    47.0,
    100.0,
    200.0,
    398.0,
)  # days: the steps in which the CA/Browser Forum shortens them, and short-lived
_LONGEST_LIFE = 398.0
_OLD_KEY = 2 * 365.0  # days
_SLACK = 1.0  # days: by which `issued`, when a record of ours was made, may differ from what the certificate says

_SIMPLE: Mapping[str, Callable[[Row], Any]] = {
    "issuers": attrgetter("certificate.issuer"),
    "owners": attrgetter("certificate.owner"),
    "key_types": attrgetter("key_type"),
    "challenges": attrgetter("challenge"),
    "profiles": attrgetter("certificate.profile"),
    "issued_by": lambda row: row.certificate.issued_by or row.certificate.issuer,
    "keys": lambda row: "host" if row.certificate.csr else "server",
}


async def _batches(rows: Sequence[Row], look: Callable[[Sequence[Row]], None]) -> None:
    for start in range(0, len(rows), BATCH):
        look(rows[start : start + BATCH])
        await trio.lowlevel.checkpoint()


async def count_facets(rows: Sequence[Row]) -> Facets:
    """What there is to choose from, by name."""
    counted = await _count(rows, ("issuers", "owners", "key_types", "challenges"))
    return Facets(**{name: dict(sorted(values.items())) for name, values in counted.items()})


async def calendar_of(rows: Sequence[Row], now: datetime, days: int) -> list[Day]:
    """Planned renewals and expiries of today and the days after it, in UTC. What is overdue is planned for today."""
    renewals, expiries, today = Counter[int](), Counter[int](), int(now.timestamp() // _DAY)
    until = (today + days) * _DAY

    def look(batch: Sequence[Row]) -> None:
        renewals.update([max(int(row.due // _DAY), today) for row in batch if row.due < until])
        expiries.update([int(row.expires // _DAY) for row in batch if row.expires < until])

    await _batches(rows, look)
    return [
        Day(datetime.fromtimestamp(day * _DAY, UTC).date(), renewals[day], expiries[day])
        for day in range(today, today + days)
    ]


async def take_inventory(
    rows: Sequence[Row], now: datetime, *, hosts: int, reported: Callable[[Row], bool]
) -> CryptoInventory:
    """What there is, by everything that records say."""
    counted = await _count(rows, tuple(_SIMPLE))
    labels, lifetimes, weak = dict[str, Counter[str]](), Counter[str](), dict[str, list[str]]()
    seen_by_hosts = 0

    def look(batch: Sequence[Row]) -> None:
        nonlocal seen_by_hosts
        for row in batch:
            lifetimes[_lifetime(row)] += 1
            for name, value in row.labels.items():
                labels.setdefault(name, Counter())[value] += 1
            for code in _weak(row, now.timestamp()):
                weak.setdefault(code, []).append(row.key)
            seen_by_hosts += reported(row)

    await _batches(rows, look)
    return CryptoInventory(
        total=len(rows),
        **{name: dict(values.most_common()) for name, values in counted.items()},
        labels={name: dict(labels[name].most_common(_MOST_VALUES)) for name in sorted(labels)},
        lifetimes={name: lifetimes[name] for name in _CLASSES if lifetimes[name]},
        hosts=hosts,
        reported=seen_by_hosts,
        weaknesses=[
            Weakness(code=code, sentence=sentence, count=len(weak[code]), keys=weak[code][:_MOST_KEYS])
            for code, sentence in _WEAKNESSES.items()
            if code in weak
        ],
    )


async def _count(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Counter[str]]:
    counted = {name: Counter[str]() for name in names}

    def look(batch: Sequence[Row]) -> None:
        for name, counts in counted.items():
            counts.update(map(_SIMPLE[name], batch))

    await _batches(rows, look)
    return counted


_CLASSES = (*(f"up to {limit:g} days" for limit in _LIFETIMES), f"over {_LONGEST_LIFE:g} days", "unknown")
_WEAKNESSES = {
    "short_rsa": "RSA keys of less than 2048 bits",
    "long_life": f"Lifetimes of more than {_LONGEST_LIFE:g} days",
    "old_key": "Keys of hosts that have been certified again for about two years or longer",
    "no_expiry": "Records without an expiry that can be read",
}


def _life(row: Row) -> float:
    """In days; infinite where it is not known."""
    return (row.expires - row.issued) / _DAY if row.expires < NEVER else NEVER


def _lifetime(row: Row) -> str:
    life = _life(row)
    if life == NEVER:
        return _CLASSES[-1]
    limits = zip(_CLASSES, _LIFETIMES, strict=False)
    return next((name for name, limit in limits if life <= limit + _SLACK), _CLASSES[-2])


def _weak(row: Row, now: float) -> Iterator[str]:
    life = _life(row)
    if life == NEVER:
        yield "no_expiry"
        return
    if life > _LONGEST_LIFE + _SLACK:
        yield "long_life"
    if row.key_type.startswith("rsa") and row.key_type[3:].isdigit() and int(row.key_type[3:]) < 2048:
        yield "short_rsa"
    if _age_of_key(row.certificate, life, (now - row.issued) / _DAY) >= _OLD_KEY:
        yield "old_key"


def _age_of_key(certificate: Certificate, life: float, age: float) -> float:
    """In days, at least: a host sends its key once, and what is renewed has lived half of its life."""
    return age + certificate.renewal_count * life / 2 if certificate.csr else 0.0
