"""What `/metrics` says of each certificate and each token (guide, "Monitoring"), true on every node.

Everything is read at the time of the scrape from the tables that follow the shared map, and nothing is counted here.
What depends on nothing but a certificate's record is kept from scrape to scrape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice

import attrs
import trio

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.exposition import Family, label_text, with_user_labels
from acme_manager.domain.gotime import parse_time
from acme_manager.domain.planning import Policy, plan
from acme_manager.domain.renewal_state import NOTHING_KNOWN, RenewalState
from acme_manager.domain.token import NEVER
from acme_manager.ports import Clock
from acme_manager.services.counters import CREATED, RENEWED, REVOKED, Counters, Labels
from acme_manager.services.plans import Plans
from acme_manager.services.reports import Reports
from acme_manager.services.state import State

Series = Iterable[tuple[str, float | str]]  # (text of the labels, value)

_BATCH = 500  # samples made without letting others run: about a millisecond
_MAKING = 20  # samples could be made in the time of making a row
_DAY = 86400.0


def _gauge(name: str, help: str) -> Family:
    return Family(f"acme_manager_{name}", "gauge", help)


def _tally(name: str, help: str) -> Family:
    return Family(f"acme_manager_{name}", "unknown", help)


TOTAL = _gauge("certificate_total", "Certificates; always 1, to be summed up")
MANAGED = _gauge("managed_certificates", "The same under the name of later versions of the Go original")
EXPIRY = _gauge("certificate_expiry", "Days until a certificate expires, with its own labels")
OVERDUE = _gauge(
    "certificate_renewal_overdue_ratio",
    "Share of the time between a certificate's renewal date and its expiry that has gone by: 0 not due, 1 expired",
)
FAILURES = _gauge("certificate_renewal_failures", "Renewals in a row that have failed, and why the last one did")
RENEWALS = _gauge("certificate_renewals", "Renewals of a certificate since it was created")
CREATIONS = _tally("certificate_created", "Certificates created, those made anew on request included")
REVOCATIONS = _tally("certificate_revoke", "Certificates revoked")
RENEWED_COUNT = _tally("certificate_renewed", "Certificates renewed")
OPERATIONS = Family(
    "acme_manager_certificate_operations_total",
    "counter",
    "The counts of certificate_created, _renewed, _revoke and _renewal_failures as later Go versions have them",
)
NODE_TIME = _gauge("node_time_seconds", "Unix time by this node's clock")
LOADED = _gauge("state_loaded", "1 once this node has all certificates and tokens; until then the figures are too low")
HOSTS = _gauge("hosts_reporting", "Hosts whose agent has reported within the last week")
OUTDATED = _gauge("certificate_hosts_outdated", "Hosts that have another certificate installed than the current one")
NOT_SERVED = _gauge(
    "certificate_hosts_not_served", "Hosts whose services did not show the installed certificate at their last check"
)
TOKEN_EXPIRY = _gauge("token_expiry", "Days until a token expires")


@attrs.frozen
class _Row:
    """What of a certificate's samples stays the same as long as the first three do. Times are Unix seconds."""

    certificate: Certificate
    renewal: RenewalState
    policy: Policy
    labels: Labels
    identity: str
    facts: str
    expires: float | None
    due: float | None
    failures: int
    cause: str

    def is_of(self, certificate: Certificate, renewal: RenewalState, policy: Policy) -> bool:
        """Whether it was made of these very values."""
        return self.certificate is certificate and self.renewal is renewal and self.policy is policy


class Inventory:
    """Ten thousand certificates are a hundred thousand samples: they are rendered here, in small steps."""

    def __init__(self, state: State, counters: Counters, plans: Plans, reports: Reports, clock: Clock) -> None:
        self._state, self._counters, self._plans, self._clock = state, counters, plans, clock
        self._reports = reports
        self._rows: dict[str, _Row] = {}

    async def render(self, *, openmetrics: bool) -> list[bytes]:
        """The text of all families in pieces, for either format, without OpenMetrics' last line."""
        rows, now = await self._current(), self._clock.now().timestamp()
        certificates, events, others = _of_certificates(rows, now), self._of_events(rows), self._of_node(now)
        parts: list[bytes] = []
        for family, series in chain(certificates, events, self._of_hosts(rows), others):
            parts.append(family.header(openmetrics=openmetrics).encode())
            lines = (f"{family.name}{labels and f'{{{labels}}}'} {value}\n" for labels, value in series)
            while batch := "".join(islice(lines, _BATCH)):
                parts.append(batch.encode(errors="replace"))
                await trio.lowlevel.checkpoint()
        return parts

    async def _current(self) -> list[_Row]:
        rows: dict[str, _Row] = {}
        policy, now, effort = self._plans.policy, self._clock.now(), 0
        for key, certificate in list(self._state.certificates.items()):
            row, renewal = self._rows.get(key), self._state.renewals.get(key) or NOTHING_KNOWN
            if row is None or not row.is_of(certificate, renewal, policy):
                row, effort = _row(certificate, renewal, policy, now), effort + _MAKING
            rows[key], effort = row, effort + 1
            if effort >= _BATCH:
                await trio.lowlevel.checkpoint()
                effort = 0
        self._rows = rows
        # One series twice would make Prometheus refuse all others; records of other programs may not fit their keys.
        return list({row.identity: row for row in rows.values()}.values())

    def _of_events(self, rows: list[_Row]) -> Iterator[tuple[Family, Series]]:
        """Counts outlive their certificates for a while, and are 0 before anything has happened."""
        counts, known = dict(self._counters.values()), {row.labels for row in rows}
        gone = {_identity(labels): labels for _, labels in counts if labels not in known}
        all = gone | {row.identity: row.labels for row in rows}

        def counted(*events: str, more: str = "") -> Series:
            return (
                (text + more, sum(counts.get((event, labels), 0) for event in events)) for text, labels in all.items()
            )

        yield CREATIONS, counted(CREATED)
        yield REVOCATIONS, counted(REVOKED)
        yield RENEWED_COUNT, counted(RENEWED)
        yield (
            OPERATIONS,
            chain(
                counted(CREATED, RENEWED, more=',operation="create",status="success"'),
                counted(REVOKED, more=',operation="revoke",status="success"'),
                # Falls to 0 with a success, as counters do at a restart: `increase` sees each failure once.
                ((f'{row.identity},operation="renew",status="error"', row.failures) for row in rows),
            ),
        )

    def _of_hosts(self, rows: list[_Row]) -> Iterator[tuple[Family, Series]]:
        """What the agents say. Certificates that no host has reported have no series."""
        yield HOSTS, ((label_text({"owner": owner}), number) for owner, number in list(self._reports.hosts().items()))
        reported = [(row.identity, found) for row in rows if (found := self._reports.standing(row.certificate))]
        yield OUTDATED, ((identity, found.outdated) for identity, found in reported)
        yield NOT_SERVED, ((identity, found.not_served) for identity, found in reported)

    def _of_node(self, now: float) -> Iterator[tuple[Family, Series]]:
        """Tokens, and the rest."""
        yield NODE_TIME, [("", now)]
        yield LOADED, [("", int(self._state.loaded.is_set()))]
        samples: list[tuple[str, float | str]] = []
        for id, token in self._state.tokens.items():
            until = _seconds(token.expires)
            if until is None and token.expires != NEVER:
                continue
            facts = {"id": id, "username": token.username, "scope": ",".join(token.scope), "expires": token.expires}
            samples.append((label_text(facts), "+Inf" if until is None else _days(until - now)))
        yield TOKEN_EXPIRY, samples


def _of_certificates(rows: list[_Row], now: float) -> Iterator[tuple[Family, Series]]:
    yield TOTAL, ((row.identity, 1) for row in rows)
    yield MANAGED, ((row.identity, 1) for row in rows)
    yield RENEWALS, ((row.identity, row.certificate.renewal_count) for row in rows)
    failing = [row for row in rows if row.failures]
    yield FAILURES, ((f"{row.identity},{label_text({'cause': row.cause})}", row.failures) for row in failing)
    yield EXPIRY, ((row.facts, _days(row.expires - now)) for row in rows if row.expires is not None)
    yield (
        OVERDUE,
        (
            (row.identity, _overdue(row.due, row.expires, now))
            for row in rows
            if row.expires is not None and row.due is not None
        ),
    )


def _row(certificate: Certificate, renewal: RenewalState, policy: Policy, now: datetime) -> _Row:
    labels = (certificate.issuer, certificate.owner, certificate.domain, certificate.name)
    facts = {
        **_named(labels),
        "expires": certificate.expires,
        "encryption": certificate.encryption,
        "serial": certificate.serial,
    }
    known = renewal.of(certificate.fingerprint)
    return _Row(
        certificate=certificate,
        renewal=renewal,
        policy=policy,
        labels=labels,
        identity=_identity(labels),
        facts=label_text(with_user_labels(facts, certificate.labels)),
        expires=_seconds(certificate.expires),
        due=_due(certificate, known, policy, now),
        failures=known.failures,
        cause=known.cause,
    )


def _due(certificate: Certificate, renewal: RenewalState, policy: Policy, now: datetime) -> float | None:
    """When it was due in the first place: another try puts the next one off, but not this."""
    try:
        planned = plan(certificate, RenewalState(leaf=renewal.leaf, ari=renewal.ari), policy, now)
    except (OverflowError, ValueError):  # times near the ends of the calendar, as Go's zero time in a foreign record
        return None
    return None if planned is None else planned.due.timestamp()


def _named(labels: Labels) -> dict[str, str]:
    return dict(zip(("issuer", "owner", "domain", "name"), labels, strict=True))


def _identity(labels: Labels) -> str:
    return label_text(_named(labels))


def _seconds(text: str) -> float | None:
    try:
        return parse_time(text).timestamp()
    except ValueError:
        return None


def _days(seconds: float) -> float:
    return round(seconds / _DAY, 5)


def _overdue(due: float, expires: float, now: float) -> float:
    if now < due:
        return 0.0
    return 1.0 if now >= expires else round((now - due) / (expires - due), 5)
