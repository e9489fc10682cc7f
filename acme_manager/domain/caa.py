"""CAA records: whether one lets a CA issue for a name (RFC 8659), from which account and by which method (RFC 8657).

Parsing is as strict as the grammar, because a CA's is: a value that does not fit it allows nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

CRITICAL = 128  # RFC 8659 section 4.1: bit 0, the most significant one
_KNOWN = frozenset({"issue", "issuewild", "iodef", "issuemail"})
_LABEL = r"[A-Za-z0-9](?:-*[A-Za-z0-9])*"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PARAMETER = re.compile(rf"({_LABEL})[ \t]*=[ \t]*([\x21-\x3a\x3c-\x7e]*)")
_METHODS = re.compile(r"(?:[A-Za-z0-9-]+(?:,[A-Za-z0-9-]+)*)?")  # RFC 8657 section 4


@attrs.frozen(kw_only=True)
class CaaRecord:
    """One property. `value` is text in which every octet is one character."""

    flags: int = 0
    tag: str
    value: str

    @property
    def property(self) -> str:
        """The tag as it is compared: without regard to case."""
        return self.tag.lower()

    def __str__(self) -> str:
        shown = re.sub(r"[^\x20-\x7e]", lambda odd: f"\\{ord(odd[0]):03d}", re.sub(r'(["\\])', r"\\\1", self.value))
        return f'{self.flags} {self.tag} "{shown}"'


@attrs.frozen(kw_only=True)
class CaaSet:
    """The records that count for a name, and where they stand; without records nothing restricts it."""

    at: str = ""
    records: tuple[CaaRecord, ...] = ()


@attrs.frozen(kw_only=True)
class Grant:
    """What an `issue` or `issuewild` property says: which CA may issue, and under which conditions."""

    domain: str  # lower case; empty: nobody
    parameters: tuple[tuple[str, str], ...] = ()  # tags in lower case, in their order

    def values(self, tag: str) -> list[str]:
        """Every value of a parameter; there should be one at most."""
        return [value for name, value in self.parameters if name == tag]


@attrs.frozen(kw_only=True)
class Asker:
    """Who wants to issue: a CA by the names it has in CAA records, for one account, by one validation method."""

    identities: tuple[str, ...]  # `caaIdentities` of its directory (RFC 8555 section 7.1.1)
    account: str = ""  # URL of the account; empty where it is not known
    method: str = ""  # `dns-01` or `http-01`; empty where it is not known


@attrs.frozen(kw_only=True)
class CaaVerdict:
    """Whether issuance is allowed, None where that can't be told; what to do where it is not, and the record to add."""

    allowed: bool | None
    why: str
    remedy: str = ""
    record: str = ""  # as a line of a zone file


def parse_grant(value: str) -> Grant | None:
    """Read an issue-value (RFC 8659 section 4.2); None for one that does not fit the grammar."""
    domain, *parameters = (part.strip(" \t") for part in value.split(";"))
    if domain and not _DOMAIN.fullmatch(domain):
        return None
    if parameters == [""]:
        parameters = []  # a semicolon alone, as in `;`
    matches = [_PARAMETER.fullmatch(one) for one in parameters]
    read = tuple((match[1].lower(), match[2]) for match in matches if match)
    return Grant(domain=domain.lower(), parameters=read) if len(read) == len(matches) else None


def evaluate(found: CaaSet, asker: Asker, *, wildcard: bool = False) -> CaaVerdict:
    """Hold the records that count for a name against who wants to issue for it (RFC 8659 sections 4.2, 4.3 and 4.5)."""
    if not found.records:
        return CaaVerdict(allowed=True, why="no CAA record restricts it")
    unknown = next((one for one in found.records if one.flags & CRITICAL and one.property not in _KNOWN), None)
    if unknown:
        why = f"CAA {unknown} at {found.at} is critical and of a kind that CAs do not know, so none may issue"
        return CaaVerdict(allowed=False, why=why, remedy=f"remove from {found.at}.: CAA {unknown}")
    tag = "issuewild" if wildcard and any(one.property == "issuewild" for one in found.records) else "issue"
    restricting = [one for one in found.records if one.property == tag]
    if not restricting:
        return CaaVerdict(allowed=True, why=f"the CAA records at {found.at} do not restrict who issues for it")
    if not asker.identities and any((grant := parse_grant(one.value)) and grant.domain for one in restricting):
        why = f"{_listed(restricting)} at {found.at}; the CA does not say in its directory what it is called there"
        remedy = "find out the CA's name for CAA records in its documentation and compare"
        return CaaVerdict(allowed=None, why=why, remedy=remedy)
    refusals = []
    for record in restricting:
        refusal = _refusal(record, asker)
        if not refusal:
            return CaaVerdict(allowed=True, why=f"CAA {record} at {found.at} allows it")
        refusals.append(f"CAA {record} at {found.at} {refusal}")
    allowing = _allowing(found.at, tag, restricting, asker)
    return CaaVerdict(allowed=False, why="; ".join(refusals), remedy=f"add the record: {allowing}", record=allowing)


def _refusal(record: CaaRecord, asker: Asker) -> str:
    """Why a record does not allow it, continuing a sentence that begins with the record; empty where it does."""
    grant = parse_grant(record.value)
    if grant is None:
        return "is malformed, which allows nobody"
    if not grant.domain:
        return "allows nobody"
    if grant.domain not in {one.lower().rstrip(".") for one in asker.identities}:
        return "is for another CA"
    accounts, methods = grant.values("accounturi"), grant.values("validationmethods")
    if len(accounts) > 1 or len(methods) > 1:
        return "has a parameter twice, which allows nobody"
    if accounts and (not asker.account or accounts[0] != asker.account):
        return f"is for another account than ours, {asker.account or 'whose URL is not known yet'}"
    if methods and not _METHODS.fullmatch(methods[0]):
        return "has malformed 'validationmethods', which allow nobody"
    if methods and asker.method not in methods[0].split(","):
        return f"does not allow the method {asker.method or 'that would be used'}"
    return ""


def _allowing(at: str, tag: str, restricting: Sequence[CaaRecord], asker: Asker) -> str:
    """The record that would allow it: as strict about accounts and methods as those that are there."""
    used = {name for one in restricting if (grant := parse_grant(one.value)) for name, _ in grant.parameters}
    value = asker.identities[0] if asker.identities else "<what the CA is called in CAA records>"
    if "accounturi" in used and asker.account:
        value += f"; accounturi={asker.account}"
    if "validationmethods" in used and asker.method:
        value += f"; validationmethods={asker.method}"
    return f"{at}. CAA {CaaRecord(tag=tag, value=value)}"


def _listed(records: Sequence[CaaRecord]) -> str:
    return ", ".join(f"CAA {one}" for one in records)
