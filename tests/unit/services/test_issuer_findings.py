from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
from prometheus_client import CollectorRegistry

from acme_manager.errors import DirectoryUnavailable, IssuanceFailed
from acme_manager.services.issuer_findings import IssuerFinding, IssuerFindings

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
AWAY = DirectoryUnavailable("the CA is away")


@attrs.define
class Hand:
    """A clock that is moved by hand."""

    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def turn(self, minutes: int) -> datetime:
        self.at += timedelta(minutes=minutes)
        return self.at


def test_a_finding_says_since_when_it_is_so_and_when_all_was_well() -> None:
    clock = Hand()
    findings = IssuerFindings(clock, CollectorRegistry())
    assert findings.note("ca", None) == IssuerFinding(directory=True, since=NOON, checked_at=NOON, last_success=NOON)
    last_success = clock.turn(10)
    findings.note("ca", None)
    broken_at = clock.turn(10)
    findings.note("ca", IssuanceFailed("the account is revoked"))
    checked_at = clock.turn(10)
    assert findings.note("ca", AWAY) == IssuerFinding(
        error="the CA is away", directory=False, since=broken_at, checked_at=checked_at, last_success=last_success
    )
    mended_at = clock.turn(10)
    assert findings.note("ca", None).since == mended_at


def test_the_metric_tells_the_same_and_ends_with_the_issuer() -> None:
    registry = CollectorRegistry()
    findings = IssuerFindings(Hand(), registry)

    def shown(issuer: str) -> float | None:
        return registry.get_sample_value("acme_manager_issuer_config_error", {"issuer": issuer})

    findings.note("a", AWAY)
    findings.note("b", None)
    assert (shown("a"), shown("b"), shown("c")) == (1, 0, None)
    findings.note("a", None)
    findings.forget("b")
    findings.forget("c")
    assert (shown("a"), shown("b")) == (0, None)
    assert findings.get("b") is None
