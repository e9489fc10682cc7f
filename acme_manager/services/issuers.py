"""The CAs of the configuration, and who answers their challenges."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from acme_manager.config.http_stores import HttpStoreConfig
from acme_manager.config.model import IssuerConfig
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.names import IdentifierType
from acme_manager.errors import InvalidRequest
from acme_manager.ports import Issuer, Solver


@attrs.frozen
class ConfiguredIssuer:
    """One `issuer.<name>`: its settings, and the CA behind them."""

    config: IssuerConfig
    issuer: Issuer


class Issuers:
    """Issuers by name, and solvers by the name that a request or an issuer gives."""

    def __init__(
        self,
        issuers: Mapping[str, ConfiguredIssuer],
        *,
        http_solver: Callable[[str, HttpStoreConfig | None], Solver],
        dns_solver: Callable[[str, str], Solver],  # of a dns_challenge and an owner
    ) -> None:
        self._issuers, self._http_solver, self._dns_solver = issuers, http_solver, dns_solver

    def names(self) -> list[str]:
        """The configured names, sorted."""
        return sorted(self._issuers)

    def replace(self, issuers: Mapping[str, ConfiguredIssuer]) -> None:
        """From now on these and no others."""
        self._issuers = issuers

    def has(self, name: str, issuer: Issuer) -> bool:
        """Whether this is what the name stands for now."""
        return name in self._issuers and self._issuers[name].issuer is issuer

    def get(self, name: str) -> Issuer:
        """The CA of that name. Raises InvalidRequest."""
        return self._find(name).issuer

    def solver_for(self, certificate: Certificate) -> Solver:
        """Who answers the challenges for a certificate: its own choice, else the issuer's. Raises InvalidRequest."""
        dns, http = self.choice(certificate)
        if dns:
            _refuse(
                certificate, IdentifierType.IP, "dns_challenge", "dns-01 can't prove an IP address; use http_challenge"
            )
            return self._dns_solver(dns, certificate.owner)
        found = self._issuers.get(certificate.issuer)
        solver = self._http_solver(http, found.config.http_challenge_config if found else None)
        if any(one.wildcard for one in certificate.identifiers):
            raise InvalidRequest("a wildcard needs dns-01; use dns_challenge", "http_challenge")
        return solver

    def choice(self, certificate: Certificate) -> tuple[str, str]:
        """The `dns_challenge` or the `http_challenge` for a certificate; the other is empty. Raises InvalidRequest."""
        if certificate.dns_challenge or certificate.http_challenge:
            return certificate.dns_challenge, certificate.http_challenge
        config = self._find(certificate.issuer).config
        if not (config.dns_challenge or config.http_challenge):
            raise InvalidRequest(
                f"issuer '{config.name}' has no default challenge: name a 'dns_challenge' or an 'http_challenge'",
                "dns_challenge",
            )
        return config.dns_challenge, config.http_challenge

    def _find(self, name: str) -> ConfiguredIssuer:
        try:
            return self._issuers[name]
        except KeyError:
            known = " ".join(self.names())
            raise InvalidRequest(f"invalid issuer '{name}' must be one of [{known}]", "issuer") from None


def _refuse(certificate: Certificate, kind: IdentifierType, where: str, why: str) -> None:
    if any(one.type is kind for one in certificate.identifiers):
        raise InvalidRequest(why, where)
