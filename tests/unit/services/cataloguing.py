"""A catalogue in memory, with everything that it follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import attrs

from acme_manager.config.model import Common, IssuerConfig
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import format_time, milliseconds, rfc3339
from acme_manager.domain.renewal_state import NOTHING_KNOWN, RenewalState
from acme_manager.domain.report import Installed, Report
from acme_manager.ring.alone import Alone
from acme_manager.services.catalogue import Catalogue
from acme_manager.services.latest_attempts import LatestAttempts
from acme_manager.services.plans import Plans
from acme_manager.services.reports import Reports
from acme_manager.services.settings import Settings
from acme_manager.services.state import State
from tests.unit.services.world import NOW, MovableClock, settings_with

DAY = timedelta(days=1)
LE = IssuerConfig(name="le", ca_dir_url="https://ca.test/dir", dns_challenge="route53")
OTHER = IssuerConfig(name="other", ca_dir_url="https://b.test/dir", http_challenge="kvring")


def certificate(domain: str = "a.example", owner: str = "alice", *, age: float = 10, **changes: Any) -> Certificate:
    """Ninety days of life, of which `age` are over; it is renewed when between 20 and 30 are left."""
    issued = NOW - age * DAY
    facts = {
        "domain": domain,
        "owner": owner,
        "issuer": "le",
        "fingerprint": f"of {domain}",
        "encryption": "ECDSA-256",
        "issued_at": milliseconds(issued),
        "expires": format_time(issued + 90 * DAY),
    }
    return Certificate(**{**facts, **changes})


@attrs.frozen(kw_only=True)
class Shelf:
    shared: Alone
    state: State
    settings: Settings
    clock: MovableClock
    reports: Reports
    catalogue: Catalogue

    def keep(self, *certificates: Certificate) -> None:
        for one in certificates:
            self.state.publish(one)

    def fail(self, one: Certificate, error: str = "no such name") -> None:
        self.know(one, failures=1, error=error, cause="dns", cure="time", retry_at=self.clock.at + DAY)

    def know(self, one: Certificate, **state: Any) -> None:
        known = RenewalState(leaf=one.fingerprint, **state) if state else NOTHING_KNOWN
        self.state.publish_renewal(one.id.key, known)

    def attempt(self, key: str, outcome: str, *, began: datetime | None = None, **facts: Any) -> None:
        record = {"outcome": outcome, "began": rfc3339(began or self.clock.at), "reason": "requested", **facts}
        self.shared.put(f"attempt/{key}", json.dumps([record]).encode())

    def report(self, owner: str, host: str, *installed: Installed) -> None:
        self.reports.take(owner, Report(host=host, certificates=installed))

    def another(self) -> Catalogue:
        """One that is made anew of the same facts; `following` is yet to be entered."""
        return _catalogue(self.shared, self.state, self.settings, self.clock, self.reports)


def _catalogue(shared: Alone, state: State, settings: Settings, clock: MovableClock, reports: Reports) -> Catalogue:
    return Catalogue(
        state=state,
        plans=Plans(state, settings, clock),
        attempts=LatestAttempts(shared),
        reports=reports,
        settings=settings,
        clock=clock,
    )


@contextmanager
def open_shelf(*certificates: Certificate) -> Iterator[Shelf]:
    """A node that knows these certificates, from the beginning."""
    shared, clock, settings = Alone(), MovableClock(), settings_with(Common(), LE, OTHER)
    state, reports = State(shared), Reports(shared, clock)
    catalogue = _catalogue(shared, state, settings, clock, reports)
    shelf = Shelf(shared=shared, state=state, settings=settings, clock=clock, reports=reports, catalogue=catalogue)
    with state.following(), reports.following():
        shelf.keep(*certificates)
        state.loaded.set()
        with catalogue.following():
            yield shelf
