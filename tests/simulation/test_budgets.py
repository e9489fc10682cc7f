"""Weeks at a CA with Let's Encrypt's limits: who obeys the budgets is never refused, and gets nearly all there is."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from random import Random

import attrs

from acme_manager.config.model import Common, Config, IssuerConfig, VaultConfig
from acme_manager.domain.budget import PRESETS
from acme_manager.domain.names import Identifier, parse_identifier
from acme_manager.errors import BudgetSpent, IssuanceFailed, IssuerRateLimited, Problem
from acme_manager.ring.alone import Alone
from acme_manager.services.budgets import Budgets
from acme_manager.services.settings import Settings
from tests.fakes.limits import DAY, HOUR, LetsEncrypt

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CONFIG = Config(
    common=Common(),
    issuers={"le": IssuerConfig(name="le", ca_dir_url="https://ca.example/dir", limits=PRESETS["letsencrypt"])},
    vault=VaultConfig(
        url="https://vault.example", role_id="r", secret_id="s", secret_engine="k", certificate_prefix="c"
    ),
)


@attrs.define(eq=False, repr=False)
class Job:
    """Somebody who wants certificates for the same names again and again."""

    names: tuple[str, ...]
    pause: timedelta  # from one certificate to the wish for the next
    works: bool = True
    patience: timedelta = timedelta()  # comes back later by up to this, when told to
    tries: int = 0
    issued: list[datetime] = attrs.field(factory=list)

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        return tuple(map(parse_identifier, self.names))

    @property
    def renewal(self) -> bool:
        return bool(self.issued)

    @property
    def ari(self) -> bool:
        return len(self.issued) % 2 == 1  # every other renewal, so that the CA sees both kinds


class World:
    """Nodes that lead one after the other, each with a clock a little off, and the CA."""

    def __init__(self, *, obedient: bool = True) -> None:
        self.ca, self.rng, self.at = LetsEncrypt(), Random(20), START
        self._obedient, self._skew = obedient, timedelta()
        self._shared, self._stack = Alone(), ExitStack()
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._elect()

    def now(self) -> datetime:
        """The leader's clock."""
        return self.at + self._skew

    def after(self, pause: timedelta, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.at + pause, next(self._numbers), act))

    def run(self, jobs: list[Job], length: timedelta) -> None:
        for job in jobs:
            self.after(HOUR * self.rng.random(), lambda job=job: self._wish(job))  # type: ignore[misc]
        for number in range(1, length // (3 * DAY)):
            self.after(number * 3 * DAY, self._elect)
        while self._events and self._events[0][0] < START + length:
            self.at, _, act = heapq.heappop(self._events)
            act()

    def _elect(self) -> None:
        self._stack.close()
        self._skew = 60 * SECOND * (self.rng.random() - 0.5)
        self._budgets = Budgets(Settings(CONFIG), self._shared, self)
        self._stack.enter_context(self._budgets.following())

    def _wish(self, job: Job) -> None:
        order = ExitStack()
        try:
            if self._obedient:
                kind = {"renewal": job.renewal, "ari": job.ari}
                order.enter_context(self._budgets.ordering("le", job.identifiers, **kind))
        except BudgetSpent as error:
            self.after((error.retry_after or 0) * SECOND + job.patience * self.rng.random(), lambda: self._wish(job))
            return
        job.tries += 1
        self.after(2 * SECOND * self.rng.random(), lambda: self._arrive(job, order))

    def _arrive(self, job: Job, order: ExitStack) -> None:
        try:
            self.ca.new_order(job.names, self.at, replaces=job.ari)
        except IssuerRateLimited as error:
            self._end(job, order, error)
            return
        outcome = self._issue if job.works else self._fail
        self.after((5 + 175 * self.rng.random()) * SECOND, lambda: outcome(job, order))

    def _issue(self, job: Job, order: ExitStack) -> None:
        self.ca.issued(job.names, self.at)
        order.close()
        job.issued.append(self.at)
        self.after(job.pause, lambda: self._wish(job))

    def _fail(self, job: Job, order: ExitStack) -> None:
        self.ca.failed(job.names[0], self.at)
        problem = Problem("urn:ietf:params:acme:error:dns", "no such name", 400, job.names[0])
        self.after(3 * SECOND, lambda: self._end(job, order, IssuanceFailed("failed", problem)))

    def _end(self, job: Job, order: ExitStack, error: IssuanceFailed) -> None:
        with suppress(IssuanceFailed), order:
            raise error
        self.after(SECOND, lambda: self._wish(job))


def fleet() -> list[Job]:
    return [Job((f"h{n}.t{n % 100}.example",), 5 * DAY, patience=2 * HOUR) for n in range(2000)]


def crowd() -> list[Job]:
    return [Job((f"h{n}.crowd.example", f"*.h{n}.crowd.example"), 60 * DAY, patience=HOUR) for n in range(120)]


def test_weeks_of_thousands_of_names_pass_without_a_refusal() -> None:
    world, short_lived, one_domain = World(), fleet(), crowd()
    greedy = Job(("greedy.example",), SECOND)
    broken = [Job((f"broken{n}.example",), DAY, works=False) for n in range(2)]
    world.run([*short_lived, *one_domain, greedy, *broken], 21 * DAY)

    assert world.ca.refusals == []
    assert min(len(job.issued) for job in short_lived) >= 3
    # Nor is much given away: what the limits allow is used.
    first_hours = sum(job.issued[0] < START + 3 * HOUR for job in [*short_lived, *one_domain])
    assert 500 <= first_hours <= 600  # a full bucket, and what comes back meanwhile
    assert sorted(job.issued[0] for job in one_domain)[100] < START + 8 * DAY  # at best 7.1 days
    assert len(greedy.issued) >= 19  # at best 5 + 15, and some that nobody holds back
    assert [1152 <= job.tries <= 1152 + 21 for job in broken] == [True, True]


def test_who_has_no_budget_is_refused() -> None:
    world = World(obedient=False)
    world.run(crowd(), HOUR / 2)
    assert len(world.ca.refusals) > 10
