"""What is left of our budgets at each CA, for people and for Prometheus, on every node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import attrs
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from acme_manager.domain.budget import ACCOUNT, Bucket, Kind, Ledger, Limits
from acme_manager.metrics import PREFIX
from acme_manager.services.budgets import Budgets

_LOW = 0.2  # of a bucket: then it is shown
_MOST = 100  # of these, the emptiest


@attrs.frozen(kw_only=True)
class Level:
    """One bucket. `next_free` is when there is a token again, None while there is one."""

    kind: Kind
    about: str  # a domain, a name, the first of a set of names; empty for the account
    count: int  # of tokens in a full bucket
    left: int
    next_free: datetime | None


@attrs.frozen(kw_only=True)
class Pause:
    """What the CA itself has said."""

    about: str  # as above; empty for all orders
    until: datetime


@attrs.frozen(kw_only=True)
class IssuerBudget:
    """One CA's limits, the account's bucket and those that are low, and the pauses that it has asked for."""

    limits: Limits
    levels: tuple[Level, ...]
    pauses: tuple[Pause, ...]

    def without_names(self) -> IssuerBudget:
        """What an owner is told: the account's figures, and nothing of domains, which may be another owner's."""
        return attrs.evolve(
            self,
            levels=tuple(level for level in self.levels if not level.about),
            pauses=tuple(pause for pause in self.pauses if not pause.about),
        )


def report(budgets: Budgets) -> Mapping[str, IssuerBudget]:
    """Each configured issuer's, by name."""
    at = budgets.now()
    return {name: _budget(budgets.limits(name), budgets.ledger(name), at) for name in budgets.configs()}


def _budget(limits: Limits, ledger: Ledger, at: datetime) -> IssuerBudget:
    levels = _levels(limits, ledger, at)
    low = sorted(
        (one for one in levels if one.about and one.left <= one.count * _LOW),
        key=lambda one: (one.left / one.count, one.kind, one.about),
    )
    pauses = [
        Pause(about=bucket.shown, until=until)
        for key, until in ledger.items()
        if until > at and (bucket := Bucket.of_pause(key)) is not None
    ]
    return IssuerBudget(
        limits=limits,
        levels=(*(one for one in levels if not one.about), *low[:_MOST]),
        pauses=tuple(sorted(pauses, key=lambda one: (one.about, one.until))[:_MOST]),
    )


def _levels(limits: Limits, ledger: Ledger, at: datetime) -> list[Level]:
    """Every bucket that somebody has drawn on, and the account's."""
    buckets = {bucket: ledger[key] for key in ledger if (bucket := Bucket.of(key)) is not None}
    return [
        Level(
            kind=bucket.kind,
            about=bucket.shown,
            count=limit.count,
            left=limit.left(full_at, at),
            next_free=at + wait if (wait := limit.wait(full_at, at)) > timedelta() else None,
        )
        for bucket, full_at in {ACCOUNT: at, **buckets}.items()
        if (limit := limits.of(bucket.kind)) is not None
    ]


class BudgetCollector(Collector):
    """Made of the shared map when it is asked for, so that it is true on every node."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets

    @classmethod
    def on(cls, registry: CollectorRegistry, budgets: Budgets) -> None:
        """Register it."""
        registry.register(cls(budgets))

    def describe(self) -> Iterable[Metric]:
        """Nothing: asking would mean collecting, before there is anything to collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """What is left now."""
        remaining = GaugeMetricFamily(
            f"{PREFIX}_issuer_budget_remaining",
            "What is left of a CA's limit; where each name or domain has its own, of the one with the least",
            labels=["issuer", "limit"],
        )
        paused = GaugeMetricFamily(
            f"{PREFIX}_issuer_paused_until_timestamp_seconds",
            "Until when the CA wants no orders from us, 0 when it takes them",
            labels=["issuer"],
        )
        at = self._budgets.now()
        for name in self._budgets.configs():
            limits, ledger = self._budgets.limits(name), self._budgets.ledger(name)
            left = {kind: limit.count for kind in Kind if (limit := limits.of(kind)) is not None}
            for level in _levels(limits, ledger, at):
                left[level.kind] = min(left[level.kind], level.left)
            for kind, number in left.items():
                remaining.add_metric([name, kind], number)
            until = ledger.get(ACCOUNT.pause, at)
            paused.add_metric([name], until.timestamp() if until > at else 0)
        yield remaining
        yield paused
