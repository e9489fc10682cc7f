"""Renewals on a node in memory, in a time that moves with Trio's clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import attrs
import trio
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Common
from acme_manager.domain.names import Identifier
from acme_manager.ports import IssuerFacts
from acme_manager.services.asking import Asking
from acme_manager.services.plans import Plans
from acme_manager.services.renewal_metrics import RenewalMetrics
from acme_manager.services.renewals import Renewals
from acme_manager.storage.memory import MemoryStorage
from acme_manager.workers.renewal import RenewalWorker
from tests.fakes.ca import MemoryCa
from tests.unit.services.world import NOW, World, open_world, worker_metrics

HOUR = 3600.0
DAY = 24 * HOUR


class MovingClock:
    """NOW when it is made; from then on as fast as Trio's clock."""

    def __init__(self) -> None:
        self._began = trio.current_time()

    def now(self) -> datetime:
        return NOW + timedelta(seconds=trio.current_time() - self._began)


class Room:
    """A budget with room, until `full` says for how many seconds there is none, and by which limit."""

    def __init__(self) -> None:
        self.full: tuple[float, str] = (0.0, "")
        self.asked: list[tuple[str, bool, bool]] = []

    def wait(
        self, issuer: str, identifiers: Iterable[Identifier], *, renewal: bool, ari: bool, urgent: bool = False
    ) -> tuple[float, str]:
        self.asked.append((next(iter(identifiers)).value, ari, urgent))
        return self.full


@attrs.frozen(kw_only=True)
class Renewing:
    world: World
    ca: MemoryCa
    renewals: Renewals
    plans: Plans
    room: Room
    registry: CollectorRegistry
    run: RenewalWorker

    @property
    def failed_rounds(self) -> float | None:
        return self.counted("acme_manager_worker_failures_total", worker="renewal")

    def counted(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def open_renewing(
    *, ari: bool = False, common: Common | None = None, storage: MemoryStorage | None = None, **world: Any
) -> AsyncIterator[Renewing]:
    """A node that leads; `run` is yet to be started."""
    clock = MovingClock()
    async with open_world(storage or MemoryStorage(clock), common=common, clock=clock, **world) as opened:
        ca = opened.ca
        ca.now = clock.now
        ca.said = IssuerFacts(renewal_info=ari)
        registry, room = CollectorRegistry(), Room()
        settings, state = opened.issuing.settings, opened.state
        plans = Plans(state, settings, clock)
        renewals = Renewals(
            state=state,
            plans=plans,
            asking=Asking(state, opened.issuing.store, opened.issuing.issuers, clock),
            certificates=opened.certificates,
            budget=room,
            settings=settings,
            clock=clock,
            metrics=RenewalMetrics.on(registry),
            interval=6 * HOUR,
        )
        yield Renewing(
            world=opened,
            ca=ca,
            renewals=renewals,
            plans=plans,
            room=room,
            registry=registry,
            run=RenewalWorker(renewals=renewals, interval=6 * HOUR, metrics=worker_metrics(registry)),
        )
