"""What DNS says before an order about whether its challenges can succeed, and whether the CA may issue."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from dns.rdatatype import AAAA, A

from acme_manager.dns.challenge import ACCOUNT_TYPE, PERSIST_TYPE, record_name, split_method
from acme_manager.dns.providers import KnowsItsZones
from acme_manager.dns.solver import DnsSolver, DnsSolvers
from acme_manager.domain.finding import Finding, merged
from acme_manager.domain.names import Identifier, IdentifierType
from acme_manager.errors import DnsFailed, InvalidRequest, Rejected
from acme_manager.services.caa import judge_caa
from acme_manager.services.issuers import Issuers
from acme_manager.services.preflight_issuer import AskedIssuer
from acme_manager.services.preflight_request import Question, complaints
from acme_manager.structure import together

_AT_ONCE = 16
_MOST_NAMES = 100  # that DNS is asked about; no public CA takes more
_DNS01, _HTTP01, _TLS_ALPN = "dns-01", "http-01", "tls-alpn-01"


async def look_at_challenge(question: Question, issuers: Issuers, dns: DnsSolvers) -> list[Finding]:
    """Whether the challenge and its provider are there, and what DNS says about each name."""
    chosen, responder = issuers.choice(question.wanted)
    method = _method(chosen, responder)
    found = complaints("challenge", issuers.solver_for, question.wanted)
    if not found:
        detail = f"{method} by '{split_method(chosen)[1] or responder or chosen}'"
        found = [Finding(check="challenge", ok=True, detail=detail)]
    if len(question.names) > _MOST_NAMES:
        found.append(Finding(check="challenge", ok=None, detail=f"only the first {_MOST_NAMES} names are looked up"))
    names = question.names[:_MOST_NAMES]
    if not chosen:
        return [*found, *await _look_at_addresses(dns, names, method)]
    if method == PERSIST_TYPE:
        return found  # preflight_persist.py looks further
    named = [one for one in names if one.type is IdentifierType.DNS]
    try:
        solver = dns.solver(split_method(chosen)[1], question.wanted.owner)
    except Rejected:  # there is no such provider, or it can't be set up: that has been found
        return found
    account = (await issuers.get(question.params.issuer).facts()).account if method == ACCOUNT_TYPE else ""
    return [*found, *await _look_at_dns01(dns, solver, named, account)]


def _method(dns_challenge: str, http_challenge: str) -> str:
    """The type of the challenges that are going to be answered."""
    if dns_challenge:
        return split_method(dns_challenge)[0]
    return _TLS_ALPN if http_challenge == _TLS_ALPN else _HTTP01


async def look_at_caa(question: Question, issuer: AskedIssuer, issuers: Issuers, dns: DnsSolvers) -> list[Finding]:
    """Whether CAA records let the CA issue for each name, to our account and by the method that is going to be used."""
    method = ""
    with suppress(InvalidRequest):  # found by the look at the challenge
        method = _method(*issuers.choice(question.wanted))
    verdicts = await judge_caa(dns.lookup, await issuer.facts(), question.names[:_MOST_NAMES], method)
    return merged(
        (str(name), Finding(check="caa", ok=one.allowed, detail=one.why, remedy=one.remedy, record=one.record))
        for name, one in verdicts.items()
    )


async def _look_at_dns01(
    dns: DnsSolvers, solver: DnsSolver, identifiers: Collection[Identifier], account: str
) -> list[Finding]:
    """Where each name's record goes, and whether the provider is in charge there."""

    async def one(identifier: Identifier) -> tuple[str, Finding]:
        try:
            return identifier.base, await _place(dns, solver, identifier, account)
        except DnsFailed as error:
            return identifier.base, Finding(check=_DNS01, ok=None, detail=str(error))

    bases = {identifier.base: identifier for identifier in identifiers}  # a wildcard shares its base's record
    return merged(await together(one, list(bases.values()), at_once=_AT_ONCE))


async def _place(dns: DnsSolvers, solver: DnsSolver, identifier: Identifier, account: str) -> Finding:
    name = record_name(identifier, account)
    target = await dns.lookup.follow(name)
    try:
        provider = await solver.provider_at(target)
    except DnsFailed as error:
        ok = None if error.cause == "unavailable" else False
        remedy = "see dns_credentials in the configuration, or choose another dns_challenge"
        return Finding(check=_DNS01, ok=ok, detail=str(error), remedy=remedy)
    zone = await dns.lookup.zone_of(target) or "."
    where = f"its _acme-challenge record goes {f'to {target} by CNAME, ' if target != name else ''}into zone {zone}"
    if not isinstance(provider, KnowsItsZones):
        detail = f"{where}; whether it can be written there shows only when it is"
        return Finding(check=_DNS01, ok=None, detail=detail)
    try:
        own = await provider.own_zone(target)
    except DnsFailed as error:
        remedy = (
            f"put the provider in charge of zone {zone}, or add the record: "
            f"{name}. CNAME {identifier.base}.<zone that the provider may write>."
        )
        return Finding(check=_DNS01, ok=False, detail=f"{where}, but {error}", remedy=remedy)
    if own != zone:
        detail = f"{where}, but the provider would write into its zone {own}, which the CA may not see"
        remedy = f"delegate {own} to the provider's server, or make sure that the CA's resolvers see that zone"
        return Finding(check=_DNS01, ok=None, detail=detail, remedy=remedy)
    return Finding(check=_DNS01, ok=True, detail=f"{where}, which the provider serves")


async def _look_at_addresses(dns: DnsSolvers, identifiers: Collection[Identifier], method: str) -> list[Finding]:
    """Which addresses the CA is going to ask for each name."""
    port = 443 if method == _TLS_ALPN else 80

    async def one(identifier: Identifier) -> tuple[str, Finding]:
        if identifier.type is IdentifierType.IP:
            return identifier.value, Finding(check=method, ok=True, detail=f"the CA asks that address, on port {port}")
        try:
            return identifier.value, await _addresses(dns, identifier.value, method, port)
        except DnsFailed as error:
            return identifier.value, Finding(check=method, ok=None, detail=str(error))

    return merged(await together(one, list(identifiers), at_once=_AT_ONCE))


async def _addresses(dns: DnsSolvers, name: str, method: str, port: int) -> Finding:
    found = [str(data) for kind in (A, AAAA) for data in (await dns.lookup.records(name, kind)).data]
    if found:
        return Finding(check=method, ok=True, detail=f"the CA asks {', '.join(found)}, on port {port}")
    return Finding(
        check=method,
        ok=False,
        detail="it has neither an A nor an AAAA record, so the CA has nobody to ask",
        remedy=f"add an A or AAAA record for {name} with the address of this server or of what is in front of it",
    )
