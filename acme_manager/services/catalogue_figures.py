"""What is counted over many rows of the catalogue at once, in small steps."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import trio

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
_LONGEST_LIFE = _LIFETIMES[-1]
_CLASSES = (*(f"up to {days:g} days" for days in _LIFETIMES), f"over {_LONGEST_LIFE:g} days", "unknown")
_OLD_KEY = 2 * 365.0  # days
_LEAST_RSA = 2048  # bits
_SLACK = 1.0  # days: by which `issued`, when a record of ours was made, may differ from what the certificate says

_WEAKNESSES = {
    "short_rsa": f"RSA keys of less than {_LEAST_RSA} bits",
    "long_life": f"Lifetimes of more than {_LONGEST_LIFE:g} days",
    "old_key": "Keys of hosts that have been certified again for about two years or longer",
    "no_expiry": "Records without an expiry that can be read",
}
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
    counted = await _count(rows, tuple(_SIMPLE))
    labels, lifetimes, seen_by_hosts = Counter[tuple[str, str]](), Counter[int](), 0
    weak, short_keys = {code: list[str]() for code in _WEAKNESSES}, set(filter(_is_short, counted["key_types"]))

    def look(batch: Sequence[Row]) -> None:
        nonlocal seen_by_hosts
        labels.update([label for row in batch for label in row.labels.items()])
        lifetimes.update([_class(row.life) for row in batch])
        seen_by_hosts += sum([row.key in reported for row in batch])
        weak["short_rsa"] += [row.key for row in batch if row.key_type in short_keys]
        weak["long_life"] += [row.key for row in batch if _LONGEST_LIFE + _SLACK < row.life < NEVER]
        weak["old_key"] += [row.key for row in batch if row.certificate.csr and _age_of_key(row, now) >= _OLD_KEY]
        weak["no_expiry"] += [row.key for row in batch if row.life == NEVER]

    await _batches(rows, look)
    by_name: dict[str, dict[str, int]] = {}
    for (name, value), count in labels.most_common():
        if len(values := by_name.setdefault(name, {})) < _MOST_VALUES:
            values[value] = count
    return CryptoInventory(
        total=len(rows),
        **{name: dict(values.most_common()) for name, values in counted.items()},
        labels=dict(sorted(by_name.items())),
        lifetimes={name: lifetimes[number] for number, name in enumerate(_CLASSES) if lifetimes[number]},
        hosts=hosts,
        reported=seen_by_hosts,
        weaknesses=[
            Weakness(code=code, sentence=sentence, count=len(weak[code]), keys=weak[code][:_MOST_KEYS])
            for code, sentence in _WEAKNESSES.items()
            if weak[code]
        ],
    )


async def _count(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Counter[str]]:
    counted = {name: Counter[str]() for name in names}

    def look(batch: Sequence[Row]) -> None:
        for name, counts in counted.items():
            counts.update(map(_SIMPLE[name], batch))

    await _batches(rows, look)
    return counted


def _class(life: float) -> int:
    """The number of a lifetime's class."""
    return len(_LIFETIMES) + 1 if life == NEVER else bisect_left(_LIFETIMES, life - _SLACK)


def _is_short(key_type: str) -> bool:
    """Whether an RSA key is shorter than anybody should have."""
    bits = key_type.removeprefix("rsa")
    return bits != key_type and bits.isdecimal() and int(bits) < _LEAST_RSA


def _age_of_key(row: Row, now: datetime) -> float:
    """In days, at least: a host sends its key once, and what is renewed has lived half of its life."""
    return (now.timestamp() - row.issued) / _DAY + row.certificate.renewal_count * row.life / 2
