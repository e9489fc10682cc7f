"""`scripts/bench catalogue`: what the pages of the UI cost with very many certificates."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import trio

from acme_manager.config.model import Common, Config, IssuerConfig, VaultConfig
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import format_time, milliseconds
from acme_manager.domain.renewal_state import RenewalState
from acme_manager.ring.alone import Alone
from acme_manager.services.catalogue import Catalogue
from acme_manager.services.catalogue_row import COLUMNS
from acme_manager.services.catalogue_views import Query
from acme_manager.services.latest_attempts import LatestAttempts
from acme_manager.services.plans import Plans
from acme_manager.services.reports import Reports
from acme_manager.services.settings import Settings
from acme_manager.services.state import State
from tests.bench import machine
from tests.bench.figures import say, spread, table

_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
_LIFE, _DAY = timedelta(days=90), timedelta(days=1)
_OWNERS = 20
_ISSUERS = [IssuerConfig(name=name, ca_dir_url="https://ca.test/dir", http_challenge="kvring") for name in ("a", "b")]
_PAGE = 4096  # bytes, of memory


class _Clock:
    """A clock that stands still."""

    def now(self) -> datetime:
        """Always the same instant."""
        return _NOW


@attrs.define(eq=False)
class _Holds(trio.abc.Instrument):
    """The longest CPU time between two checkpoints."""

    longest: float = 0.0
    began: float = attrs.field(factory=time.thread_time)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """A task goes on."""
        self.began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """It lets others run."""
        self.longest = max(self.longest, time.thread_time() - self.began)


Rows = list[tuple[str, str, str]]


async def bench_catalogue(certificates: int, rounds: int) -> None:
    """Print CPU milliseconds of what the home page, the table and the inventory ask for."""
    say(f"catalogue: {certificates} certificates of {_OWNERS} owners, of which one in fifty can't be renewed")
    for what, value in machine.description().items():
        say(f"  {what}: {value}")
    state, clock, shared = State(Alone()), _Clock(), Alone()
    vault = VaultConfig(url="http://127.0.0.1", role_id="", secret_id="", secret_engine="s", certificate_prefix="c")
    settings = Settings(Config(common=Common(), issuers={one.name: one for one in _ISSUERS}, vault=vault))
    catalogue = Catalogue(
        state=state,
        plans=Plans(state, settings, clock),
        attempts=LatestAttempts(shared),
        reports=Reports(shared, clock),
        settings=settings,
        clock=clock,
    )
    state.loaded.set()
    chance, rows = random.Random(1), Rows()
    with catalogue.following():
        numbers = list(range(certificates))
        chance.shuffle(numbers)  # they come in no order
        for number in numbers:
            _add(state, number, chance.random())
        gc.collect()
        before = _resident()
        rows.append(await _measured("first build", 1, lambda: catalogue.overview(None)))
        used = _resident() - before
        for column in COLUMNS:
            rows.append(await _measured(f"a page sorted by {column}", rounds, _asks(catalogue, Query(sort=column))))
        middle = certificates // 2
        for what, query in {
            "two words searched": Query(q="host1 example", sort="domain"),
            "the page in the middle": Query(sort="domain", offset=middle),
            "one issuer and one label": Query(issuer="a", labels=(("team", "t1"),)),
        }.items():
            rows.append(await _measured(what, rounds, _asks(catalogue, query)))
        rows.append(await _measured("a page of one owner", rounds, _asks(catalogue, Query(), "owner3")))
        rows.append(await _measured("overview", rounds, lambda: catalogue.overview(None)))
        rows.append(await _measured("overview of one owner", rounds, lambda: catalogue.overview("owner3")))
        rows.append(await _measured("inventory", rounds, lambda: catalogue.inventory(None)))
        keys = [key for key, _ in state.certificates.items()]

        async def update() -> None:
            key = chance.choice(keys)
            found = state.certificates.get(key)
            assert found is not None
            state.certificates.put(key, attrs.evolve(found, updated_at=found.updated_at + 1))
            await catalogue.entry(found.id)

        rows.append(await _measured("one certificate changed and shown", 50 * rounds, update))
    say(table([("what", "CPU ms", "longest step, ms"), *rows]))
    say(f"resident memory of rows and plans: {used / 2**20:.0f} MiB")


def _asks(catalogue: Catalogue, query: Query, owner: str | None = None) -> Callable[[], Awaitable[object]]:
    return lambda: catalogue.rows(owner, query)


async def _measured(what: str, rounds: int, ask: Callable[[], Awaitable[object]]) -> tuple[str, str, str]:
    """Collections of garbage would come on top."""
    spent, holds = [], _Holds()
    gc.disable()
    trio.lowlevel.add_instrument(holds)
    for _ in range(rounds):
        before = time.process_time()
        await ask()
        spent.append((time.process_time() - before) * 1000)
    trio.lowlevel.remove_instrument(holds)
    gc.enable()
    return what, spread(spent, 1), f"{holds.longest * 1000:.1f}"


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _add(state: State, number: int, share: float) -> None:
    start = _NOW - _LIFE * 0.66 * share
    certificate = Certificate(
        owner=f"owner{number % _OWNERS}",
        issuer="b" if number % 3 else "a",
        domain=f"host{number}.example.com",
        san=f"www.host{number}.example.com",
        labels=f"team=t{number % 7},env=prod",
        fingerprint=f"{number:064x}",
        serial=f"{number:x}",
        encryption="ECDSA-256" if number % 4 else "RSA-2048",
        expires=format_time(start + _LIFE),
        issued_at=milliseconds(start),
        days=90,
    )
    key = certificate.id.key
    state.certificates.put(key, certificate)
    if number % 50 == 0:
        known = RenewalState(leaf=certificate.fingerprint, failures=2, error="no such name", cause="dns", cure="time")
        state.renewals.put(key, attrs.evolve(known, retry_at=_NOW + _DAY))


if __name__ == "__main__":
    trio.run(bench_catalogue, 50_000, 5)
