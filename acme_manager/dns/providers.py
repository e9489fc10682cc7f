"""Which DNS providers there are, by the names that `dns_challenge` uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from acme_manager.dns.propagation import Timing
from acme_manager.dns.rfc2136 import Rfc2136, read_settings
from acme_manager.errors import InvalidRequest
from acme_manager.ports import DnsProvider


class PatientProvider(DnsProvider, Protocol):
    """A DnsProvider that knows how long its servers take to show a change."""

    @property
    def timing(self) -> Timing:
        """How long to wait, and how often to look."""
        ...


@runtime_checkable
class KnowsItsZones(Protocol):
    """A provider that can tell without writing whether it is in charge of a name."""

    async def own_zone(self, name: str) -> str:
        """The zone of its own that a name is in. Raises DnsFailed, also when the provider can't be used."""
        ...


Factory = Callable[[str, Mapping[str, str]], PatientProvider]
"""Makes a provider from the name it was asked for by and the environment. Raises ConfigInvalid."""


def _rfc2136(name: str, environ: Mapping[str, str]) -> PatientProvider:
    return Rfc2136(read_settings(environ, name))


FACTORIES: Mapping[str, Factory] = {"rfc2136": _rfc2136, "dnsupdate": _rfc2136}


def provider_for(
    name: str, environ: Mapping[str, str], factories: Mapping[str, Factory] = FACTORIES
) -> PatientProvider:
    """Set a provider up from the environment.

    Raises InvalidRequest if there is none of that name, ConfigInvalid with every variable that is wrong.
    """
    factory = factories.get(name)
    if factory is None:
        known = ", ".join(sorted(factories))
        raise InvalidRequest(f"DNS provider '{name}' does not exist; there are: {known}", "dns_challenge")
    return factory(name, environ)
