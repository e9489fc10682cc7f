"""What a DNS provider is, and where providers come from: each source knows some of the names that `dns_challenge` uses.

To add a source, write a class that inherits from Source and put it into `sources_of` (dns/registry.py), whose order is
the order in which a name is looked for. A source that runs programs makes `PluginProvider`s (dns/plugin.py).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

import attrs

from acme_manager.config.model import Config
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.propagation import Timing
from acme_manager.dns.rfc2136 import Rfc2136, read_settings
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


class Tier(enum.StrEnum):
    """How far a provider has been shown to work."""

    VERIFIED = "verified"  # our tests ran it against a real server
    RECORDED = "recorded"  # our tests ran it against what a real server had answered
    MAPPED = "mapped"  # a library says that it does it; we pass its variables on
    OWN = "own"  # of the configuration: whoever wrote it knows


@attrs.frozen(kw_only=True)
class ProviderInfo:
    """One provider in a list for people. `source` is the name of its source, `summary` a few words."""

    name: str
    tier: Tier
    source: str
    summary: str
    variables: tuple[str, ...] = ()  # that it reads, without `_FILE` behind
    same_as: str = ""  # of two names for one provider, the main one
    extra: str = ""  # of ours that must be installed first


class Source(Protocol):
    """Some providers, by their names in `dns_challenge`. It holds nothing open."""

    @property
    def name(self) -> str:
        """What the log calls it: `plugin`, `built in`, `lego`, ..."""
        ...

    def provider(self, name: str, environ: Mapping[str, str], lookup: Lookup) -> PatientProvider | None:
        """Set a provider up from the variables, None for a name that is not among these.

        Reads small files at most. Raises ConfigInvalid with every variable that is wrong.
        """
        ...

    def providers(self) -> Iterable[ProviderInfo]:
        """All of them, sorted."""
        ...

    def at(self, _config: Config) -> Source:
        """The same source as another configuration has it; itself where it reads none."""
        return self

    def remedy(self, _name: str) -> str:
        """What would make this source have that name, such as an extra to install; empty where nothing would."""
        return ""


Factory = Callable[[str, Mapping[str, str], Lookup], PatientProvider]
"""Makes a provider from the name it was asked for by and the variables. Raises ConfigInvalid."""


def _rfc2136(name: str, environ: Mapping[str, str], lookup: Lookup) -> PatientProvider:
    return Rfc2136(read_settings(environ, name), lookup.zone_at)


_RFC2136_VARIABLES = (
    *("RFC2136_NAMESERVER", "RFC2136_TSIG_KEY", "RFC2136_TSIG_SECRET", "RFC2136_TSIG_ALGORITHM", "RFC2136_TSIG_FILE"),
    *("RFC2136_TTL", "RFC2136_DNS_TIMEOUT", "RFC2136_POLLING_INTERVAL", "RFC2136_PROPAGATION_TIMEOUT"),
)
_BUILT_IN: Mapping[str, Factory] = {"rfc2136": _rfc2136, "dnsupdate": _rfc2136}


@attrs.frozen
class BuiltIn(Source):
    """The providers inside this process."""

    factories: Mapping[str, Factory] = _BUILT_IN
    name: str = "built in"

    def provider(self, name: str, environ: Mapping[str, str], lookup: Lookup) -> PatientProvider | None:
        """See Source."""
        factory = self.factories.get(name)
        return None if factory is None else factory(name, environ, lookup)

    def providers(self) -> Iterable[ProviderInfo]:
        """See Source."""
        for name in sorted(self.factories):
            yield ProviderInfo(
                name=name,
                tier=Tier.VERIFIED,
                source=self.name,
                summary="dynamic updates (RFC 2136): BIND, Knot, ...",
                variables=_RFC2136_VARIABLES,
                same_as="rfc2136" if name == "dnsupdate" else "",
            )
