"""What is kept of each certificate so that thousands can be searched, sorted and counted in an instant."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import attrs
import trio

from acme_manager.config.model import IssuerConfig
from acme_manager.domain.certificate import Certificate, split_labels
from acme_manager.domain.condition import Code, Condition
from acme_manager.domain.operation import key_type_of
from acme_manager.domain.planning import RenewalPlan, life_of

BATCH = 500  # rows looked at without letting others run
_SAMPLE, _PARTS = 2000, 64  # rows whose values are looked at before all are sorted, and how many of these are used
NEVER = float("inf")
_DAY = 86400.0
_NO_LABELS: Mapping[str, str] = {}
_SEARCHED = ("domain", "san", "name", "issuer", "issued_by", "owner", "labels", "serial", "fingerprint")


@attrs.define(eq=False, kw_only=True)
class Row:
    """One certificate. Times are Unix seconds; what is not known lies at infinity, or for `issued` at 0."""

    key: str
    certificate: Certificate
    issuer: IssuerConfig | None  # None: it is not configured
    haystack: str  # everything that a search looks at, casefolded
    labels: Mapping[str, str]
    key_type: str  # `ec256`, `rsa2048`, …
    challenge: str  # `dns: <provider>`, `http: <provider>`
    expires: float
    issued: float
    due: float = NEVER
    code: Code = Code.UNKNOWN
    wrong: bool = True
    urgency: int = 0

    @property
    def life(self) -> float:
        """In days."""
        return (self.expires - self.issued) / _DAY

    def judge(self, condition: Condition, plan: RenewalPlan | None) -> None:
        """Take down how it is doing."""
        self.code, self.wrong, self.urgency = condition.code, condition.tone.wrong, condition.urgency
        self.due = NEVER if plan is None else plan.due.timestamp()


def make_row(key: str, certificate: Certificate, issuer: IssuerConfig | None) -> Row:
    """The row of a certificate, before anybody has judged it."""
    life = life_of(certificate)
    return Row(
        key=key,
        certificate=certificate,
        issuer=issuer,
        haystack="\n".join(getattr(certificate, field) for field in _SEARCHED).casefold(),
        labels=split_labels(certificate.labels) or _NO_LABELS,
        key_type=key_type_of(certificate),
        challenge=_challenge(certificate, issuer),
        expires=NEVER if life is None else life.end.timestamp(),
        issued=0.0 if life is None else life.start.timestamp(),
    )


def _challenge(certificate: Certificate, issuer: IssuerConfig | None) -> str:
    """Its own choice, else the issuer's."""
    for chosen in (certificate, issuer):
        if chosen is not None and chosen.dns_challenge:
            return f"dns: {chosen.dns_challenge}"
        if chosen is not None and chosen.http_challenge:
            return f"http: {chosen.http_challenge}"
    return ""


def _number(text: str) -> int:
    """The first one of `30` or `20-30`; another program may have written anything."""
    first = text.partition("-")[0].strip()
    return int(first) if first.isdecimal() and len(first) < 10 else -1


COLUMNS: Mapping[str, Callable[[Row], Any]] = {
    "condition": attrgetter("urgency", "expires"),
    "domain": attrgetter("certificate.domain"),
    "name": attrgetter("certificate.name"),
    "issuer": attrgetter("certificate.issuer"),
    "owner": attrgetter("certificate.owner"),
    "expires": attrgetter("expires"),
    "issued": attrgetter("issued"),
    "due": attrgetter("due"),
    "key_type": attrgetter("key_type"),
    "challenge": attrgetter("challenge"),
    "profile": attrgetter("certificate.profile"),
    "labels": attrgetter("certificate.labels"),
    "serial": attrgetter("certificate.serial"),
    "san": attrgetter("certificate.san"),
    "encryption": attrgetter("certificate.encryption"),
    "bundle": attrgetter("certificate.bundle"),
    "days": attrgetter("certificate.days"),
    "renewal_days": lambda row: _number(row.certificate.renewal_days),
    "renewal_date": attrgetter("certificate.renewal_date"),
    "renewal_count": attrgetter("certificate.renewal_count"),
    "updated_at": attrgetter("certificate.updated_at"),
}
"""What a table can be sorted by. Those that are equal in it stay in the order of their keys."""


async def in_order(
    rows: Sequence[Row], key: Callable[[Row], Any], *, descending: bool = False, offset: int = 0, limit: int
) -> list[Row]:
    """One page of the rows in order, without holding others up.

    They are dealt into parts that follow on each other, between some of the values that occur, and only the parts that
    the page lies in are sorted: the first page costs as much as any other. What is equal to one of these values has a
    part of its own, so that parts that need sorting are small however often a value occurs.
    """
    sample = sorted({key(row) for row in rows[:: len(rows) // _SAMPLE + 1]})
    pivots = sample[:: len(sample) // _PARTS + 1]
    parts: list[list[Row]] = [[] for _ in range(2 * len(pivots) + 1)]
    for start in range(0, len(rows), BATCH):
        for row in rows[start : start + BATCH]:
            value = key(row)
            parts[bisect_left(pivots, value) + bisect_right(pivots, value)].append(row)
        await trio.lowlevel.checkpoint()
    page: list[Row] = []
    for number in reversed(range(len(parts))) if descending else range(len(parts)):
        part = parts[number]
        if offset < len(part) and len(page) < limit:
            ordered = part if number % 2 else sorted(part, key=key, reverse=descending)
            page += ordered[offset : offset + limit - len(page)]
            await trio.lowlevel.checkpoint()
        offset = max(0, offset - len(part))
    return page
