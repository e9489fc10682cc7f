"""All DNS providers: which one a name in `dns_challenge` stands for."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

import attrs
import structlog

from acme_manager.config.model import Config
from acme_manager.dns.acmesh import AcmeShSource
from acme_manager.dns.descriptions import Descriptions
from acme_manager.dns.libraries import LegoSource, LexiconSource
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.plugin import PluginSource
from acme_manager.dns.providers import BuiltIn, PatientProvider, ProviderInfo, Source
from acme_manager.dns.shipped import ShippedSource
from acme_manager.errors import InvalidRequest
from acme_manager.plugins import PluginRunner

_log = structlog.get_logger(__name__)

_MOST_LISTED = 12  # names in an error


def sources_of(runner: PluginRunner, descriptions: Descriptions | None = None) -> Sequence[Source]:
    """Every source, in the order in which a name is looked for: what administrators set up themselves comes first.

    `descriptions` are those that a node asks its plugins for.
    """
    libraries = (AcmeShSource(runner), LegoSource(runner), LexiconSource(runner))
    plugins = PluginSource(runner, descriptions or Descriptions(runner))
    return (plugins, BuiltIn(), ShippedSource(runner), *libraries)


@attrs.frozen
class Registry:
    """Looks a name up in one source after the other. The log says once, and at every change, which one has it."""

    sources: Sequence[Source] = (BuiltIn(),)
    _said: dict[str, str] = attrs.field(factory=dict, eq=False)  # name to source

    def at(self, config: Config) -> Registry:
        """The same, as another configuration has it."""
        return Registry([source.at(config) for source in self.sources], self._said)

    def provider(self, name: str, environ: Mapping[str, str], lookup: Lookup) -> PatientProvider:
        """Set a provider up. Raises InvalidRequest if there is none, ConfigInvalid if its variables are wrong."""
        source, provider = self._find(name, environ, lookup)
        if self._said.get(name) != source.name:
            self._said[name] = source.name
            _log.info("DNS provider found", provider=name, source=source.name)
        return provider

    def check(self, name: str, environ: Mapping[str, str], lookup: Lookup) -> None:
        """Raise what `provider` would raise."""
        self._find(name, environ, lookup)

    def providers(self) -> Iterator[ProviderInfo]:
        """Every provider by the first source that has its name and needs nothing more, in the order of the sources."""
        seen: dict[str, ProviderInfo] = {}
        for source in self.sources:
            for info in source.providers():
                known = seen.setdefault(info.name, info)
                if known.extra and not info.extra:
                    seen[info.name] = info
        yield from seen.values()

    def _find(self, name: str, environ: Mapping[str, str], lookup: Lookup) -> tuple[Source, PatientProvider]:
        for source in self.sources:
            provider = source.provider(name, environ, lookup)
            if provider is not None:
                return source, provider
        raise InvalidRequest(f"DNS provider '{name}' does not exist; {self._advice(name)}", "dns_challenge")

    def _advice(self, name: str) -> str:
        remedies = list(filter(None, (source.remedy(name) for source in self.sources)))
        if remedies:
            return "; or ".join(remedies)
        known = [info.name for info in self.providers()]
        near = difflib.get_close_matches(name, known, n=1)
        if near:
            return f"did you mean '{near[0]}'?"
        if len(known) > _MOST_LISTED:
            return f"there are {len(known)} others, which -dns.list prints"
        return f"there are: {', '.join(sorted(known))}"


BUILT_IN = Registry()
"""What there is without a configuration."""
