"""What is kept of each certificate so that thousands can be searched, sorted and counted in an instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import attrs
import trio

from acme_manager.config.model import IssuerConfig
from acme_manager.domain.certificate import Certificate, split_labels
from acme_manager.domain.condition import Code, Condition, Tone
from acme_manager.domain.operation import key_type_of
from acme_manager.domain.planning import RenewalPlan, life_of

BATCH = 500  # rows looked at without letting others run
NEVER = float("inf")
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
    code: Code = Code.FINE
    tone: Tone = Tone.GOOD
    urgency: int = 0

    def judge(self, condition: Condition, plan: RenewalPlan | None) -> None:
        """Take down how it is doing."""
        self.code, self.tone, self.urgency = condition.code, condition.tone, condition.urgency
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
    "renewal_count": attrgetter("certificate.renewal_count"),
    "updated_at": attrgetter("certificate.updated_at"),
}
"""What a table can be sorted by. Those that are equal in it stay in the order of their keys."""


async def in_order(
    rows: Sequence[Row], key: Callable[[Row], Any], *, descending: bool = False, offset: int = 0, limit: int
) -> list[Row]:
    """One page of the rows in order, without holding others up: small runs are sorted, then merged by pairs.

    No run is kept for longer than the page reaches, so that first and last pages cost little.
    """
    end = min(offset + limit, len(rows))
    if offset >= end:
        return []
    if offset > len(rows) - end:  # nearer to the last page than to the first
        turned = await in_order(rows[::-1], key, descending=not descending, offset=len(rows) - end, limit=end - offset)
        return turned[::-1]
    runs: list[list[Row]] = []
    for start in range(0, len(rows), BATCH):
        runs.append(sorted(rows[start : start + BATCH], key=key, reverse=descending)[:end])
        await trio.lowlevel.checkpoint()
    while len(runs) > 1:
        merged = []
        for pair in range(0, len(runs), 2):
            both = [row for run in runs[pair : pair + 2] for row in run]
            merged.append(sorted(both, key=key, reverse=descending)[:end])
            await trio.lowlevel.checkpoint()
        runs = merged
    return runs[0][offset:end]
