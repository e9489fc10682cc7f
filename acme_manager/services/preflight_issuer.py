"""What the CA of a request says, and what is known of it: whether it answers, its profiles, its limits."""

from __future__ import annotations

import trio

from acme_manager.config.model import Common
from acme_manager.domain.finding import Finding, listed
from acme_manager.domain.names import IdentifierType
from acme_manager.domain.profiles import limits_of, takes_lifetime
from acme_manager.errors import AcmeManagerError, Unavailable
from acme_manager.ports import IssuerFacts
from acme_manager.services.checks import check_days
from acme_manager.services.issuers import Issuers
from acme_manager.services.preflight_request import Question, complaints


class AskedIssuer:
    """The CA of one request. It is asked once, and what came of that is shared by those who wait for it."""

    def __init__(self, issuers: Issuers, name: str) -> None:
        self._issuers, self._name = issuers, name
        self._outcome: IssuerFacts | AcmeManagerError | None = None
        self._asking = trio.Lock()

    async def ask(self) -> IssuerFacts | AcmeManagerError:
        """What the CA says about itself, or why it says nothing."""
        async with self._asking:
            if self._outcome is None:
                try:
                    self._outcome = await self._issuers.get(self._name).facts()
                except AcmeManagerError as error:
                    self._outcome = error
        return self._outcome

    async def facts(self) -> IssuerFacts:
        """The same for checks that can't be made without. Raises Unavailable."""
        outcome = await self.ask()
        if isinstance(outcome, AcmeManagerError):
            raise Unavailable("the issuer has to be asked for this, and can't be")
        return outcome


async def look_at_issuer(issuer: AskedIssuer) -> list[Finding]:
    """Whether the CA answers and knows us."""
    outcome = await issuer.ask()
    if isinstance(outcome, AcmeManagerError):
        return [Finding(check="issuer", ok=False, detail=str(outcome))]
    return [Finding(check="issuer", ok=True, detail=f"the CA answers; our account there is {outcome.account}")]


async def look_at_profile(question: Question, issuer: AskedIssuer) -> list[Finding]:
    """Whether the CA offers the profile, and whether the profile is for as many and such names."""
    facts, profile = await issuer.facts(), question.params.profile
    if profile and profile not in facts.profiles:
        remedy = f"there are: {', '.join(facts.profiles)}" if facts.profiles else "leave it out: the CA has none"
        return [Finding(check="profile", ok=False, detail=f"the CA does not offer '{profile}'", remedy=remedy)]
    limits = limits_of(facts.caa_identities, profile)
    if limits is None:
        offered = f"the CA offers '{profile}'" if profile else "the CA's default"
        return [Finding(check="profile", ok=True if profile else None, detail=f"{offered}; its limits are not known")]
    found = []
    if len(question.names) > limits.names:
        detail = f"{len(question.names)} names are more than the {limits.names} that the profile allows"
        found.append(Finding(check="profile", ok=False, detail=detail, remedy="spread them over several certificates"))
    addresses = [one for one in question.names if one.type is IdentifierType.IP]
    if addresses and not limits.addresses:
        detail = f"the profile is not for IP addresses: {listed(addresses)}"
        found.append(Finding(check="profile", ok=False, detail=detail, remedy="use the profile 'shortlived'"))
    subject = "a" if limits.common_name else "no"
    detail = f"it is for up to {limits.names} names; the certificate gets {subject} common name"
    return found or [Finding(check="profile", ok=True, detail=detail)]


async def look_at_lifetime(question: Question, issuer: AskedIssuer, common: Common) -> list[Finding]:
    """Whether the days make sense, and whether the CA lets one choose them."""
    found = complaints("lifetime", check_days, question.params, common)
    days = question.params.days
    if found or not days:
        return found or [Finding(check="lifetime", ok=True, detail="the CA decides")]
    if takes_lifetime((await issuer.facts()).caa_identities) is False:
        remedy = "leave 'days' out; at this CA the 'profile' chooses the lifetime"
        return [Finding(check="lifetime", ok=False, detail="the CA refuses orders that name a lifetime", remedy=remedy)]
    return [Finding(check="lifetime", ok=None, detail=f"whether the CA grants {days} days, only an order shows")]
