"""A year of a fleet of certificates: the real services in virtual time, between CAs and leaders that come and go."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any
from unittest import mock

import attrs
import structlog
import trio
from cryptography.hazmat.primitives.asymmetric import ec
from trio._core import _run as scheduler
from trio.testing import MockClock

from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.keys import PrivateKey, fingerprint
from acme_manager.errors import AcmeManagerError, BudgetSpent, CertificateExists, Unavailable
from acme_manager.ring.alone import Alone
from acme_manager.storage.memory import MemoryStorage
from tests.simulation.lifecycle.book import Book, Life
from tests.simulation.lifecycle.ca import Period, SimulatedCa
from tests.simulation.lifecycle.fleet import ARI, DAY, HOUR, PLAIN, Member, make_fleet
from tests.simulation.lifecycle.node import Node, open_node
from tests.unit.services.renewing import MovingClock
from tests.unit.services.world import ALICE

_WEEK = 7 * DAY
_KEYS = 64
_SECONDS_TO_ELECT = 5.0


@attrs.frozen(kw_only=True)
class Plan:
    """What is simulated. Everything that is drawn is drawn from `seed`."""

    certificates: int
    seed: int = 0
    length: timedelta = 365 * DAY
    nodes: int = 3
    share_of_ari: float = 0.2  # of the certificates are of the CA that answers RFC 9773
    crowd: int = 400  # of them are for names of one registered domain


@attrs.define(kw_only=True)
class Outcome:
    """What is left at the end."""

    plan: Plan
    book: Book
    cas: dict[str, SimulatedCa]
    end: datetime
    handovers: int = 0
    kills: int = 0
    killed_orders: int = 0  # orders under way when their node was killed
    timed_out: int = 0  # orders that took longer than cert_timeout
    said: Counter[str] = attrs.field(factory=Counter)  # log lines of renewals, by reason
    alarms: Counter[str] = attrs.field(factory=Counter)  # log lines of level error
    lost: list[str] = attrs.field(
        factory=list
    )  # what storage or the map should hold and do not, or the other way round
    failed_rounds: float = 0
    cpu: float = 0.0  # seconds

    @property
    def refusals(self) -> list[str]:
        """What the CAs have refused for their rate limits."""
        return [refusal for ca in self.cas.values() for refusal in ca.limits.refusals]

    @property
    def expired(self) -> list[Life]:
        """Certificates that have expired although somebody could have renewed them."""
        return [life for life in self.book.expired(self.end) if not life.member.for_good]


def simulate(plan: Plan) -> Outcome:
    """Live through all of it."""
    rng, began = Random(plan.seed), time.process_time()
    keys = itertools.cycle([ec.derive_private_key(rng.getrandbits(200) + 1, ec.SECP256R1()) for _ in range(_KEYS)])

    def make_key(_type: object) -> PrivateKey:
        return next(keys)

    # Trio starts tasks in a random order of its own; hypothesis pins it down by the same two names.
    pinned = mock.patch.object(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True)
    with pinned, mock.patch("acme_manager.services.issuing.make_key", make_key):
        scheduler._r.seed(plan.seed)
        outcome = trio.run(_Year(plan, rng).run, clock=MockClock(autojump_threshold=0))
    outcome.cpu = time.process_time() - began
    return outcome


class _Year:
    def __init__(self, plan: Plan, rng: Random) -> None:
        self._plan, self._rng = plan, rng
        self._fleet = make_fleet(plan.certificates, plan.length, rng, share_of_ari=plan.share_of_ari, crowd=plan.crowd)
        self._book = Book(self._fleet)
        self._leader: Node | None = None
        self._shared = Alone()

    async def run(self) -> Outcome:
        self._clock = MovingClock()
        self._storage = MemoryStorage(self._clock)
        start = self._clock.now()
        self._cas = {
            name: SimulatedCa(name, self._clock, self._book, self._rng, ari=name == ARI) for name in (ARI, PLAIN)
        }
        self._outcome = Outcome(plan=self._plan, book=self._book, cas=self._cas, end=start + self._plan.length)
        self._spoil(start)
        with _listening(self._outcome):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._lead)
                for number, member in enumerate(self._fleet):
                    nursery.start_soon(self._customer, member, Random(f"{self._plan.seed} {number}"))
                for at, notice, share in ((0.35, timedelta(), 0.3), (0.7, 5 * DAY, 0.6)):
                    nursery.start_soon(self._incident, self._plan.length * at, notice, share)
                await trio.sleep(self._plan.length.total_seconds())
                await self._calm_down()
                await self._take_stock()
                nursery.cancel_scope.cancel()
        return self._outcome

    def _spoil(self, start: datetime) -> None:
        """Bad days for one CA and then the other, so that there is always one of them; a slow one is still there."""
        slots = 16
        for number in range(slots):
            ca = self._cas[(ARI, PLAIN)[number % 2]]
            periods, longest = (ca.away, 60 * HOUR) if number % 4 < 2 else (ca.slow, 24 * HOUR)
            begin = start + self._plan.length * (number + self._rng.uniform(0, 0.7)) / slots
            periods.append(Period(begin, begin + self._rng.uniform(HOUR / longest, 1) * longest))

    async def _lead(self) -> None:
        """One node after the other, each for about a week; every other one is killed in the middle of an order."""
        async with AsyncExitStack() as everybody:
            lives = [await everybody.enter_async_context(AsyncExitStack()) for _ in range(self._plan.nodes)]
            nodes = [await life.enter_async_context(self._node(at)) for at, life in enumerate(lives)]
            for term in itertools.count(1):
                at, abrupt = term % self._plan.nodes, term % 2 == 0
                await self._reign(nodes[at], term, abrupt=abrupt)
                if abrupt:  # what it knew goes with it
                    await lives[at].aclose()
                    nodes[at] = await lives[at].enter_async_context(self._node(at))
                await trio.sleep(self._rng.uniform(0, _SECONDS_TO_ELECT))

    def _node(self, number: int) -> AbstractAsyncContextManager[Node]:
        return open_node(f"node{number}", self._shared, self._storage, self._clock, self._cas)

    async def _reign(self, node: Node, term: int, *, abrupt: bool) -> None:
        async with trio.open_nursery() as nursery:
            node.seat.leading, self._leader = True, node
            nursery.start_soon(node.reign, term)
            await trio.sleep(_WEEK.total_seconds() * self._rng.uniform(0.8, 1.2))
            if abrupt:
                attempted = self._book.attempted = trio.Event()
                with trio.move_on_after(DAY.total_seconds()):
                    await attempted.wait()
                await trio.sleep(self._rng.uniform(0, 12))
                self._outcome.kills += 1
                self._outcome.killed_orders += len(node.world.jobs.running())
            self._outcome.handovers += 1
            node.seat.leading, self._leader = False, None
            nursery.cancel_scope.cancel()

    async def _customer(self, member: Member, rng: Random) -> None:
        """Asks for a certificate until there is one."""
        await trio.sleep(member.joins.total_seconds())
        while True:
            try:
                if self._leader is not None:
                    await self._leader.world.certificates.request(ALICE, member.params)
                    return
                pause = 2.0
            except CertificateExists:
                return
            except BudgetSpent as error:
                pause = (error.retry_after or 0) + rng.uniform(0, 12 * 3600)
            except Unavailable as error:
                pause = error.retry_after + rng.uniform(0, 600)
            except AcmeManagerError:
                pause = rng.uniform(3600, 6 * 3600)
            await trio.sleep(pause)

    async def _incident(self, after: timedelta, notice: timedelta, share: float) -> None:
        """The CA has to revoke many: it asks for their renewal, at once or within days, and then does it."""
        await trio.sleep(after.total_seconds())
        at = self._clock.now()
        leaves = [leaf for leaf in self._book.in_service(ARI) if self._rng.random() < share]
        window = (at + 30 * HOUR, at + notice * 0.8) if notice else (at - HOUR, at - HOUR / 2)
        self._book.move(leaves, window, at)
        await trio.sleep((notice or 2 * DAY).total_seconds())
        self._book.revoke(leaves, self._clock.now())

    async def _calm_down(self) -> None:
        """Wait for a moment in which nothing is under way."""
        with trio.fail_after(2 * DAY.total_seconds()):
            while self._leader is None or self._leader.world.jobs.running():  # noqa: ASYNC110 two conditions, of others
                await trio.sleep(5)

    async def _take_stock(self) -> None:
        """Compare what the CAs have issued with storage and the map."""
        assert self._leader is not None
        world, lost = self._leader.world, self._outcome.lost
        for life in self._book.lives.values():
            id = CertificateId(ALICE.username, life.member.params.issuer, life.member.params.domain)
            stored, version = await world.issuing.store.read_version(id)
            if life.leaf is None:
                lost += [f"{id}: never issued"] * (not life.member.for_good)
            elif stored is None or self._book.leaf(fingerprint(stored.cert)) is not life.leaf:
                lost.append(f"{id}: the newest certificate is not the one in storage")
            elif version != life.issued:
                lost.append(f"{id}: {life.issued} issued, {version} stored")
            elif world.state.certificates.get(id.key) != stored.certificate:
                lost.append(f"{id}: the map does not say what storage does")
        lost += [f"{one.certificate.id}: an order is left" for one in await world.issuing.journal.read_all()]
        lost += [f"{key}: a challenge is left" for key, _ in self._shared.items("challenge/")]
        self._outcome.failed_rounds = self._leader.failed_rounds


_REASONS = (
    ("earlier process", "resumed"),
    ("failed", "retry"),
    ("could not be tried", "retry"),
    ("not later than", "last moment"),
    ("(ARI)", "ari"),
    ("days before expiry", "window"),
    ("of its record", "stored"),
    ("of its life", "share of life"),
    ("requested", "first"),
)


@contextmanager
def _listening(outcome: Outcome) -> Iterator[None]:
    """Count what the log says, and drop it."""

    def count(_logger: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event["event"] == "certificate issued":
            outcome.said[next((name for text, name in _REASONS if text in event["reason"]), "other")] += 1
        elif event.get("cause") == "timeout":
            outcome.timed_out += 1
        elif level in ("error", "exception", "critical"):
            outcome.alarms[event["event"]] += 1
        raise structlog.DropEvent

    processors = structlog.get_config()["processors"]
    before = [*processors]
    try:
        processors[:] = [count]
        structlog.configure(processors=processors)
        yield
    finally:
        processors[:] = before
        structlog.configure(processors=processors)
