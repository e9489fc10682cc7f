"""dns-persist-01 before an order: whether each name has the record that lets the CA issue to our account."""

from __future__ import annotations

from contextlib import suppress

from acme_manager.dns.challenge import PERSIST_TYPE
from acme_manager.dns.persist import Grant, is_granted, record_line
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.finding import Finding, merged
from acme_manager.domain.names import Identifier, IdentifierType
from acme_manager.errors import DnsFailed, InvalidRequest
from acme_manager.ports import Clock
from acme_manager.services.issuers import Issuers
from acme_manager.services.preflight_issuer import AskedIssuer
from acme_manager.services.preflight_request import Question
from acme_manager.structure import together

_AT_ONCE = 16
_MOST_NAMES = 100


async def look_at_persist(
    question: Question, issuer: AskedIssuer, issuers: Issuers, dns: DnsSolvers, clock: Clock
) -> list[Finding]:
    """One finding for each name without its record, with the record to create; nothing for any other challenge."""
    chosen = ""
    with suppress(InvalidRequest):  # found by the look at the challenge
        chosen, _ = issuers.choice(question.wanted)
    if chosen != PERSIST_TYPE:
        return []
    facts = await issuer.facts()
    if not facts.caa_identities:
        return [Finding(check=PERSIST_TYPE, ok=None, detail="the CA says only with an order what records must say")]

    async def one(identifier: Identifier) -> tuple[str, Finding]:
        grant = Grant(issuers=facts.caa_identities, account=facts.account, wildcard=identifier.wildcard)
        try:
            there = await is_granted(dns.lookup, identifier, grant, clock.now())
        except DnsFailed as error:
            return str(identifier), Finding(check=PERSIST_TYPE, ok=None, detail=str(error))
        if there:
            return str(identifier), Finding(check=PERSIST_TYPE, ok=True, detail="a record lets our account prove it")
        record = record_line(identifier, grant)
        return str(identifier), Finding(
            check=PERSIST_TYPE, ok=False, detail="no record lets our account", remedy=f"create: {record}", record=record
        )

    names = [one for one in question.names[:_MOST_NAMES] if one.type is IdentifierType.DNS]
    return merged(await together(one, names, at_once=_AT_ONCE))
