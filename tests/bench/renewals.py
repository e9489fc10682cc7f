"""`scripts/bench renewals`: what the leader's rounds cost with very many certificates."""

from __future__ import annotations

import gc
import time
from datetime import UTC, datetime, timedelta

import attrs
import trio
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Common, Config, IssuerConfig, VaultConfig
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import format_time, milliseconds
from acme_manager.domain.renewal import draw, parse_window
from acme_manager.domain.renewal_state import RenewalState
from acme_manager.plugins import PluginMetrics, PluginRunner
from acme_manager.ring.alone import Alone
from acme_manager.services.asking import Asking
from acme_manager.services.attempts import Attempts
from acme_manager.services.budgets import Budgets
from acme_manager.services.certificates import Certificates
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.fallback import Fallback
from acme_manager.services.hooks import Hooks
from acme_manager.services.issuers import Issuers
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Jobs
from acme_manager.services.journal import Journal
from acme_manager.services.plans import Plans
from acme_manager.services.progress import Progress
from acme_manager.services.rate_limits import RateLimits
from acme_manager.services.renewal_metrics import RenewalMetrics
from acme_manager.services.renewals import Renewals
from acme_manager.services.settings import Settings
from acme_manager.services.spool import Spool
from acme_manager.services.state import State
from acme_manager.services.store import CertificateStore
from acme_manager.storage.memory import MemoryStorage
from tests.bench import machine
from tests.bench.figures import say, spread, table
from tests.fakes.dns import MemoryLookup, memory_dns

_LIFE = timedelta(days=90)
_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
_ISSUER = IssuerConfig(name="ca", ca_dir_url="https://ca.test/dir", http_challenge="kvring")


@attrs.define
class _Clock:
    """A clock that stands still until it is set."""

    at: datetime = _NOW

    def now(self) -> datetime:
        """The instant it was set to."""
        return self.at


class _NoRoom:
    """A budget that lets nothing through: the bench is about looking, and not about ordering."""

    def wait(self, *_: object, **__: object) -> tuple[float, str]:
        """Never now."""
        return 3600.0, "nothing is ordered here"


async def bench_renewals(certificates: int, rounds: int) -> None:
    """Print the cost of taking stock and of rounds in which few or none are due."""
    say(f"renewals: {certificates} certificates of 90 days, each asked about every 6 hours (ARI)")
    for what, value in machine.description().items():
        say(f"  {what}: {value}")
    clock, state = _Clock(), State(Alone())
    renewals = _renewals(clock, state)
    with state.following():
        for number in range(certificates):
            _add(state, number, certificates)
        gc.collect()
        async with renewals.open():
            stock = [await _round(renewals, state)]
            idle, busy = [], []
            for number in range(rounds):
                idle.append(await _round(renewals, state))
                clock.at = _NOW + (number + 1) * timedelta(minutes=15)
                busy.append(await _round(renewals, state))
    seen = {"a new leader takes stock": stock, "a round at once after that": idle, "a round 15 minutes later": busy}
    rows = [(what, spread([due for due, _ in of], 0), spread([ms for _, ms in of], 2)) for what, of in seen.items()]
    say(table([("what", "due", "CPU ms"), *rows]))


async def _round(renewals: Renewals, state: State) -> tuple[int, float]:
    """How many came to be due, and CPU milliseconds. Collections of garbage would come on top."""
    before, heard = time.process_time(), set[str]()
    gc.disable()
    with state.renewals.watched_by(heard.add):
        await renewals.round()
    spent = (time.process_time() - before) * 1000
    gc.enable()
    return len(heard), spent


def _add(state: State, number: int, count: int) -> None:
    start = _NOW - _LIFE * 0.75 * (number / count)
    key = f"owner/ca/host{number}.example.com"
    due = draw(start, start + _LIFE, parse_window("20-30"), key).at
    while due <= _NOW:  # it would have been renewed
        start += timedelta(days=7)
        due = draw(start, start + _LIFE, parse_window("20-30"), key).at
    certificate = Certificate(
        owner="owner",
        issuer="ca",
        domain=f"host{number}.example.com",
        fingerprint=f"{number:064x}",
        serial=f"{number:x}",
        expires=format_time(start + _LIFE),
        renewal_date=format_time(due),
        issued_at=milliseconds(start),
    )
    state.certificates.put(key, certificate)
    asked = _NOW + timedelta(hours=6) + timedelta(seconds=number % 3600)
    state.renewals.put(key, RenewalState(leaf=certificate.fingerprint, ask_at=asked))


def _renewals(clock: _Clock, state: State) -> Renewals:
    cluster, storage, jobs = Alone(), MemoryStorage(clock), Jobs()
    vault = VaultConfig(url="http://127.0.0.1", role_id="", secret_id="", secret_engine="s", certificate_prefix="c")
    settings = Settings(Config(common=Common(), issuers={"ca": _ISSUER}, vault=vault))
    challenges = HttpChallenges(cluster, cluster.leads)
    issuers = Issuers({}, http_solver=lambda _name, _store: challenges, dns_solver=lambda _name, _owner: challenges)
    progress = Progress()
    issuing = Issuing(
        cluster=cluster,
        store=CertificateStore(storage, state, "c"),
        journal=Journal(storage, "c"),
        spool=Spool(None),
        issuers=issuers,
        budgets=Budgets(settings, cluster, clock),
        progress=progress,
        attempts=Attempts(cluster, progress, clock),
        clock=clock,
        settings=settings,
        fallback=Fallback(settings=settings, issuers=issuers, dns=memory_dns(MemoryLookup({}))),
        hooks=Hooks(settings=settings, runner=PluginRunner(PluginMetrics(CollectorRegistry()), clock)),
    )
    limits = RateLimits(cluster, state, issuing.progress, clock, settings, CollectorRegistry())
    return Renewals(
        state=state,
        plans=Plans(state, settings, clock),
        asking=Asking(state, issuing.store, issuers, clock),
        certificates=Certificates(state, issuing, jobs, limits),
        budget=_NoRoom(),
        settings=settings,
        clock=clock,
        metrics=RenewalMetrics.on(CollectorRegistry()),
        interval=1800.0,
    )


if __name__ == "__main__":
    trio.run(bench_renewals, 100_000, 20)
