"""Whether CAA records let a CA issue for us: of each name, and of all names of an order."""

from __future__ import annotations

from collections.abc import Collection

from acme_manager.dns.caa import find_caa
from acme_manager.dns.lookup import Lookup
from acme_manager.domain.caa import Asker, CaaSet, CaaVerdict, evaluate
from acme_manager.domain.names import Identifier, IdentifierType
from acme_manager.ports import IssuerFacts


async def judge_caa(
    lookup: Lookup, facts: IssuerFacts, identifiers: Collection[Identifier], method: str
) -> dict[Identifier, CaaVerdict]:
    """The verdict for each DNS name; an IP address has no CAA records (RFC 8738). `method` is a challenge type."""
    asker = Asker(identities=facts.caa_identities, account=facts.account, method=method)
    names = [one for one in identifiers if one.type is IdentifierType.DNS]
    found = await find_caa(lookup, {one.base for one in names})

    def verdict(name: Identifier) -> CaaVerdict:
        records = found[name.base]
        if isinstance(records, CaaSet):
            return evaluate(records, asker, wildcard=name.wildcard)
        return CaaVerdict(
            allowed=None,
            why=str(records),
            remedy="have the name servers answer questions about CAA records: a CA does not issue before they do",
        )

    return {name: verdict(name) for name in names}


async def caa_allows(
    lookup: Lookup, facts: IssuerFacts, identifiers: Collection[Identifier], method: str
) -> tuple[bool, str]:
    """Whether the CA may issue for all of these names; if not for sure, then no, and why."""
    verdicts = await judge_caa(lookup, facts, identifiers, method)
    refused = [f"{name}: {verdict.why}" for name, verdict in verdicts.items() if not verdict.allowed]
    return not refused, "; ".join(refused)
