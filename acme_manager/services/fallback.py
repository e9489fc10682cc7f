"""Another CA where the certificate's own can't: `issuer.<name>.fallback`.

Used for what another CA can cure (domain/causes.py), and only where CAA records let it. The certificate keeps its
identity, and its next renewal asks its own issuer first.
"""

from __future__ import annotations

import attrs
import structlog
import trio

from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.causes import Cure, classify
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.profiles import takes_lifetime
from acme_manager.errors import AcmeManagerError, IssuanceFailed
from acme_manager.ports import IssuerFacts
from acme_manager.services.caa import caa_allows
from acme_manager.services.issuers import Issuers
from acme_manager.services.settings import Settings

_log = structlog.get_logger(__name__)

_PATIENCE = 15.0  # seconds to find out whether an issuer can stand in


@attrs.frozen(kw_only=True)
class Fallback:
    """Finds who stands in. Lists are not followed on: only the certificate's own issuer's counts."""

    settings: Settings
    issuers: Issuers
    dns: DnsSolvers

    async def after(self, error: AcmeManagerError, wanted: Certificate, tried: set[str]) -> Certificate | None:
        """The certificate as the next issuer is to be asked for it, None when there is none to ask.

        `error` is what the last issuer raised. `tried` are those that are out of the question; it grows. The own issuer
        is a candidate, too: an earlier leader may have placed the order elsewhere. Raises nothing of its own.
        """
        cause = classify(error)
        if cause.cure is not Cure.ANOTHER_CA:
            return None
        config = self.settings.issuers.get(wanted.issuer)
        for name in (wanted.issuer, *(config.fallback if config else ())):
            if name in tried:
                continue
            tried.add(name)
            try:
                with trio.fail_after(_PATIENCE):
                    found = wanted if name == wanted.issuer else await self._for_stand_in(name, wanted)
            except (AcmeManagerError, trio.TooSlowError) as reason:
                why = str(reason) or f"it could not be found out within {_PATIENCE:g} s"
                _log.warning("issuer can't stand in", key=wanted.id.key, issuer=name, reason=why)
                continue
            _log.warning("trying another issuer", key=wanted.id.key, issuer=name, cause=cause.name, error=str(error))
            return found
        return None

    async def _for_stand_in(self, name: str, wanted: Certificate) -> Certificate:
        """Raises IssuanceFailed where the issuer may not issue it, and whatever keeps it from saying so."""
        facts = await self.issuers.get(name).facts()
        found = _in_terms_of(facts, attrs.evolve(wanted, issuer=name))
        allowed, why = await caa_allows(self.dns.lookup, facts, found.identifiers, self.issuers.solver_for(found).type)
        if not allowed:
            raise IssuanceFailed(f"CAA records do not let it for sure: {why}")
        return found


def _in_terms_of(facts: IssuerFacts, wanted: Certificate) -> Certificate:
    """Without what belongs to another CA: a profile that this one lacks, a lifetime where it takes none."""
    return attrs.evolve(
        wanted,
        profile=wanted.profile if wanted.profile in facts.profiles else "",
        days=0 if takes_lifetime(facts.caa_identities) is False else wanted.days,
    )
