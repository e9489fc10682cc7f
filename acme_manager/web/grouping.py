"""What is wrong with certificates, with those together that have the same cause: a thousand failures are one thing to
do. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.condition import Code, Condition, Tone
from acme_manager.services.catalogue_views import Overview

# What has nothing to do with the certificate that it happened to.
_ELSEWHERE = frozenset(
    {"rate_limit", "ca_unavailable", "timeout", "credentials", "account", "storage", "cluster", "internal"}
)
_NUMBER = re.compile(r"\d+")


@attrs.frozen(kw_only=True)
class Case:
    """A certificate that has something wrong, or (`kept` is false) a request that has left none."""

    id: CertificateId
    kept: bool
    san: str
    condition: Condition


@attrs.frozen(kw_only=True)
class Group:
    """Cases with one cause, the most urgent first; `cases` is never empty."""

    cases: Sequence[Case]

    @property
    def first(self) -> Case:
        """The one that is shown for all."""
        return self.cases[0]

    @property
    def condition(self) -> Condition:
        """Its condition."""
        return self.first.condition

    @property
    def count(self) -> int:
        """How many."""
        return len(self.cases)

    @property
    def next_try(self) -> datetime | None:
        """When the first of them is tried again by itself."""
        return min((case.condition.next_try for case in self.cases if case.condition.next_try), default=None)

    @property
    def under_way(self) -> int:
        """How many are being tried right now."""
        return sum(case.condition.under_way for case in self.cases)

    @property
    def issuer(self) -> str:
        """The issuer of all of them; empty where they have several."""
        issuers = {case.id.issuer for case in self.cases}
        return issuers.pop() if len(issuers) == 1 else ""


def grouped(overview: Overview) -> Sequence[Group]:
    """Everything that is wrong in an overview, the most urgent group first."""
    cases = [Case(id=one.id, kept=True, san=one.certificate.san, condition=one.condition) for one in overview.wrong]
    cases += [
        Case(id=work.id, kept=False, san="", condition=work.condition)
        for work in overview.requests
        if work.condition is not None
    ]
    groups: dict[object, list[Case]] = {}
    for case in cases:
        groups.setdefault(_cause(case), []).append(case)
    return sorted((Group(cases=found) for found in groups.values()), key=lambda group: group.condition.urgency)


def worst(tones: Iterable[Tone]) -> Tone:
    """The worst of them; good where there are none."""
    order = list(Tone)
    return min(tones, key=order.index, default=Tone.GOOD)


def _cause(case: Case) -> tuple[object, ...]:
    said = case.condition
    if said.code is Code.NO_ISSUER or said.cause in _ELSEWHERE:
        return said.code, said.tone, said.cause, case.id.issuer
    return said.code, said.tone, said.cause, case.id.issuer, _without_names(said.sentence, case)


def _without_names(sentence: str, case: Case) -> str:
    """Two sentences that differ only in names and numbers say the same."""
    names = {name.strip().removeprefix("*.") for name in (case.id.domain, case.id.name, *case.san.split(","))}
    for name in sorted(filter(None, names), key=len, reverse=True):
        sentence = sentence.replace(name, "…")
    return _NUMBER.sub("#", sentence)
