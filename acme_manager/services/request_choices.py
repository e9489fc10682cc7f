"""What a certificate request may be made of just now, for forms: the issuers and how they are, challenges, profiles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs
import trio

from acme_manager.config.dns import AUTO
from acme_manager.config.model import IssuerConfig
from acme_manager.dns.credentials import allowed
from acme_manager.dns.providers import Tier
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.names import outside
from acme_manager.domain.token import Token
from acme_manager.errors import AcmeManagerError
from acme_manager.services.budget_report import IssuerBudget, report
from acme_manager.services.budgets import Budgets
from acme_manager.services.issuer_findings import IssuerFindings
from acme_manager.services.issuers import Issuers
from acme_manager.services.settings import Settings
from acme_manager.services.state import State
from acme_manager.structure import together

_OWN = ("kvring", "tls-alpn-01")  # what every node answers by itself
_PATIENCE = 1.0  # seconds for a CA to tell what this node does not remember of it


@attrs.frozen(kw_only=True)
class IssuerChoice:
    """An issuer. `error` says why it can't be used just now, and `paused` until when it takes no orders at all."""

    name: str
    challenge: str  # its default; empty: it has none
    error: str
    paused: datetime | None
    profiles: dict[str, str]  # name to description


@attrs.frozen(kw_only=True)
class Choices:
    """All there is to choose from. Whether a choice fits the others, the look ahead says (preflight.py)."""

    issuers: Sequence[IssuerChoice]
    credentials: Sequence[str]  # sets for DNS providers, and `auto` where sets are chosen by zone
    providers: Sequence[str]  # DNS providers of our own, and of the configuration
    http: Sequence[str]
    owners: Sequence[str]  # that are known; empty where only the caller's own name will do
    server_keys: bool


@attrs.frozen(kw_only=True)
class RequestChoices:
    """Finds them, on any node."""

    state: State
    settings: Settings
    issuers: Issuers
    findings: IssuerFindings
    budgets: Budgets
    dns: DnsSolvers

    async def find(self, caller: Token, *, any_owner: bool) -> Choices:
        """What a caller may choose from; with `any_owner` in anybody's name. Raises nothing that was foreseen."""
        configs = [
            one
            for name, one in sorted(self.settings.issuers.items())
            if not caller.issuers or not outside([name], caller.issuers)
        ]
        sets = [
            one for one in self.settings.config.dns_credentials.values() if any_owner or allowed(one, caller.username)
        ]
        own = (one for one in self.dns.providers() if one.tier is not Tier.MAPPED and not one.same_as)
        budgets = report(self.budgets)
        stores = {one.http_challenge for one in configs if one.http_challenge}
        return Choices(
            issuers=await together(lambda one: self._choice(one, budgets[one.name]), configs),
            credentials=([AUTO] if any(one.zones for one in sets) else []) + sorted(one.name for one in sets),
            providers=sorted(one.name for one in own),
            http=[*_OWN, *sorted(stores.difference(_OWN))],
            owners=self._owners() if any_owner else [],
            server_keys=self.settings.common.server_managed_keys,
        )

    async def _choice(self, config: IssuerConfig, budget: IssuerBudget) -> IssuerChoice:
        finding = self.findings.get(config.name)
        return IssuerChoice(
            name=config.name,
            challenge=config.dns_challenge or config.http_challenge,
            error=finding.error if finding else "",
            paused=max((one.until for one in budget.pauses if not one.about), default=None),
            profiles=await self._profiles(config.name) if finding and finding.ok else {},
        )

    async def _profiles(self, issuer: str) -> dict[str, str]:
        """Only of issuers that have been found in order: to ask another could make an account, or take long."""
        with trio.move_on_after(_PATIENCE):
            try:
                return dict((await self.issuers.get(issuer).facts()).profiles)
            except AcmeManagerError:
                return {}  # the next look says what is wrong
        return {}

    def _owners(self) -> list[str]:
        oidc = self.settings.config.ui.oidc
        named = {one.owner for one in oidc.owners} if oidc else set()
        return sorted(named | {token.username for _, token in self.state.tokens.items()})
