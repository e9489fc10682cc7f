"""What the catalogue is asked, and what it answers: one value for each page of the UI."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

import attrs

from acme_manager.domain.attempt import Attempt
from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.domain.condition import Code, Condition
from acme_manager.domain.planning import RenewalPlan
from acme_manager.domain.timeline import Timeline
from acme_manager.services.catalogue_row import Row
from acme_manager.services.catalogue_traits import NOTHING, TRAITS, WEAKNESSES

_DAY = 86400.0


@attrs.frozen(kw_only=True)
class Query:
    """Which certificates of the table: those that fit everything that says something.

    `q` are words, all of which must occur somewhere; `labels` are wanted names, with the wanted value or None for any;
    `expiring` is in days from now; `traits` are more names of catalogue_traits.TRAITS with a value, NOTHING if empty;
    `weakness` is one of its WEAKNESSES; `reported`: whether a host reports it. `sort` is one of catalogue_row.COLUMNS.
    """

    q: str = ""
    conditions: frozenset[Code] = frozenset()
    issuer: str = ""
    owner: str = ""
    labels: tuple[tuple[str, str | None], ...] = ()
    key_type: str = ""
    challenge: str = ""
    expiring: float | None = None
    traits: tuple[tuple[str, str], ...] = ()
    weakness: str = ""
    reported: bool | None = None
    sort: str = "condition"
    descending: bool = False
    offset: int = 0
    limit: int = 50

    def matching(self, rows: Sequence[Row], now: float, reported: Collection[str]) -> Sequence[Row]:
        """Those that fit, whatever their condition; `reported` are the keys of what hosts have.

        A pass for each thing asked is quicker than one for all.
        """
        for word in self.q.casefold().split():
            rows = [row for row in rows if word in row.haystack]
        usual = (
            ("issuer", self.issuer),
            ("owner", self.owner),
            ("key_type", self.key_type),
            ("challenge", self.challenge),
        )
        for name, value in (*usual, *self.traits):
            if value:
                trait = TRAITS[name]
                rows = [row for row in rows if (trait(row) or NOTHING) == value]
        if self.expiring is not None:
            until = now + self.expiring * _DAY
            rows = [row for row in rows if row.expires <= until]
        for label, wanted in self.labels:
            rows = [row for row in rows if label in row.labels and wanted in {None, row.labels[label]}]
        if self.weakness:
            rows = WEAKNESSES[self.weakness].among(rows, now)
        if self.reported is not None:
            rows = [row for row in rows if (row.key in reported) is self.reported]
        return rows


@attrs.frozen(kw_only=True)
class Entry:
    """One certificate as pages show it. `timeline` is None where its expiry can't be read."""

    key: str
    certificate: Certificate
    condition: Condition
    plan: RenewalPlan | None
    timeline: Timeline | None
    labels: Mapping[str, str]
    key_type: str
    challenge: str

    @property
    def id(self) -> CertificateId:
        """Its identity."""
        return self.certificate.id


@attrs.frozen(kw_only=True)
class Facets:
    """What can be chosen from, with the number of all certificates that the viewer sees of each."""

    issuers: Mapping[str, int]
    owners: Mapping[str, int]
    key_types: Mapping[str, int]
    challenges: Mapping[str, int]


@attrs.frozen(kw_only=True)
class Page:
    """A page of the table. `counts` is of what fits the query, whatever conditions it asks for; all codes are in it."""

    rows: Sequence[Entry]
    total: int
    offset: int
    limit: int
    counts: Mapping[Code, int]
    facets: Facets


@attrs.frozen(kw_only=True)
class Work:
    """An attempt, at a certificate that there may not be yet (None).

    `id` is what the key says: of a named certificate it has owner and name only, unless there is the certificate.
    """

    id: CertificateId
    attempt: Attempt
    certificate: Certificate | None
    condition: Condition | None = None  # of what has come to nothing


@attrs.frozen
class Day:
    """How many renewals are planned for a day (in UTC), and how many certificates expire on it."""

    date: date
    renewals: int
    expiries: int


@attrs.frozen(kw_only=True)
class Overview:
    """The home page. `wrong` is the most urgent of `wrong_total` certificates, `following` those that are due next
    and have nothing wrong; `requests` failed and have left no certificate, the newest first."""

    at: datetime
    total: int
    counts: Mapping[Code, int]  # all codes are in it
    wrong: Sequence[Entry]
    wrong_total: int
    requests: Sequence[Work]
    following: Sequence[Entry]
    running: Sequence[Work]  # the oldest first
    days: Sequence[Day]  # today, with what is overdue, and those after it


@attrs.frozen(kw_only=True)
class Weakness:
    """Something that should not be, and the keys of the first certificates it is true of."""

    code: str
    sentence: str
    count: int
    keys: Sequence[str]


@attrs.frozen(kw_only=True)
class CryptoInventory:
    """What there is, counted by everything that records say. The largest number first."""

    total: int
    issuers: Mapping[str, int]
    issued_by: Mapping[str, int]  # who has issued it: another one where that stood in
    key_types: Mapping[str, int]
    profiles: Mapping[str, int]  # empty: none was asked for
    owners: Mapping[str, int]
    challenges: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]  # by name, then value
    lifetimes: Mapping[str, int]  # by class, from short to long
    keys: Mapping[str, int]  # `host`, where the host has its own, or `server`
    hosts: int  # that report
    reported: int  # certificates that a host reports
    weaknesses: Sequence[Weakness]
