"""What is counted over many rows of the catalogue at once, in small steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

import trio

from acme_manager.services.catalogue_row import BATCH, Row
from acme_manager.services.catalogue_traits import LIFETIMES, TRAITS, WEAKNESSES, lifetime
from acme_manager.services.catalogue_views import CryptoInventory, Day, Facets, Weakness

_DAY = 86400.0
_MOST_VALUES = 100  # of a label; the most frequent ones
_MOST_KEYS = 50  # of a weakness
_COUNTED = {
    "issuers": "issuer",
    "owners": "owner",
    "key_types": "key_type",
    "challenges": "challenge",
    "profiles": "profile",
    "issued_by": "issued_by",
    "keys": "key",
}  # the trait behind each figure


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
    renewals, expiries, today = Counter[float](), Counter[float](), int(now.timestamp() // _DAY)
    until = (today + days) * _DAY

    def look(batch: Sequence[Row]) -> None:
        renewals.update([row.due // _DAY for row in batch if row.due < until])
        expiries.update([row.expires // _DAY for row in batch if row.expires < until])

    await _batches(rows, look)
    overdue = sum(count for day, count in renewals.items() if day < today)
    return [
        Day(
            datetime.fromtimestamp(day * _DAY, UTC).date(),
            renewals[day] + (overdue if day == today else 0),
            expiries[day],
        )
        for day in range(today, today + days)
    ]


async def take_inventory(
    rows: Sequence[Row], now: datetime, *, hosts: int, reported: Collection[str]
) -> CryptoInventory:
    """What there is, by everything that records say. `reported` are the keys of what hosts have."""
    counted = await _count(rows, tuple(_COUNTED))
    labels, lifetimes, seen_by_hosts = Counter[tuple[str, str]](), Counter[str](), 0
    weak = {code: list[str]() for code in WEAKNESSES}

    def look(batch: Sequence[Row]) -> None:
        nonlocal seen_by_hosts
        labels.update([label for row in batch for label in row.labels.items()])
        lifetimes.update(map(lifetime, batch))
        seen_by_hosts += sum([row.key in reported for row in batch])
        for code, one in WEAKNESSES.items():
            weak[code] += [row.key for row in one.among(batch, now.timestamp())]

    await _batches(rows, look)
    by_name: dict[str, dict[str, int]] = {}
    for (name, value), count in labels.most_common():
        if len(values := by_name.setdefault(name, {})) < _MOST_VALUES:
            values[value] = count
    return CryptoInventory(
        total=len(rows),
        **{name: dict(values.most_common()) for name, values in counted.items()},
        labels=dict(sorted(by_name.items())),
        lifetimes={name: lifetimes[name] for name in LIFETIMES if lifetimes[name]},
        hosts=hosts,
        reported=seen_by_hosts,
        weaknesses=[
            Weakness(code=code, sentence=one.sentence, count=len(weak[code]), keys=weak[code][:_MOST_KEYS])
            for code, one in WEAKNESSES.items()
            if weak[code]
        ],
    )


async def _count(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Counter[str]]:
    counted = {name: Counter[str]() for name in names}

    def look(batch: Sequence[Row]) -> None:
        for name, counts in counted.items():
            counts.update(map(TRAITS[_COUNTED[name]], batch))

    await _batches(rows, look)
    return counted
