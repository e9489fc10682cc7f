"""The DNS providers of two libraries, which are extras: lego, and dns-lexicon for those that lego lacks.

Each change runs the plugin of that name (plugins/lego, plugins/lexicon) in a process of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import attrs

from acme_manager.config.model import Plugin
from acme_manager.dns.held import Holder
from acme_manager.dns.lexicon import lexicon_providers
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.plugin import PluginProvider
from acme_manager.dns.propagation import Timing
from acme_manager.dns.providers import PatientProvider, ProviderInfo, Source, Tier
from acme_manager.dns.shipped import INTERPRETER, WEB, plugin_file
from acme_manager.dns.table import lego_providers, own_timing, own_variables
from acme_manager.dns.turns import Turns
from acme_manager.errors import DnsFailed
from acme_manager.plugins import PluginRunner

VERIFIED = {"lego": ("dnsupdate", "exec", "httpreq", "pdns"), "lexicon": ("pdns",)}
"""What tests/integration/dns runs against real servers."""

_LIMIT = 120.0  # seconds that one run may take: some APIs are slow, and lego bounds its requests
_RESOLVERS = "ACME_MANAGER_DNS_RESOLVERS"


@attrs.frozen
class LegoSource(Source):
    """The providers of lego, as far as the extra is installed."""

    runner: PluginRunner
    installed: bool = attrs.field(factory=lambda: find_spec("lego_bridge") is not None)
    name: str = "lego"
    turns: Turns = attrs.field(factory=Turns, eq=False)

    def provider(self, name: str, environ: Mapping[str, str], lookup: Lookup) -> PatientProvider | None:
        """See Source."""
        lego = lego_providers().get(name) if self.installed else None
        if lego is None:
            return None
        shared = {key: environ[key] for key in WEB if environ.get(key)} | _resolvers(lookup)
        env = {**shared, **own_variables(lego, environ), "LEGO_PROVIDER": lego.name}
        provider = _provider(self, env, own_timing(lego, environ), lookup)
        return attrs.evolve(provider, holder=Holder()) if lego.in_memory else provider

    def providers(self) -> Iterable[ProviderInfo]:
        """See Source: also where the extra is not installed."""
        for name, lego in sorted(lego_providers().items()):
            yield _info(self, name, lego.name, tuple(sorted(lego.known)))

    def remedy(self, name: str) -> str:
        """See Source."""
        return "" if self.installed or name not in lego_providers() else "lego has it: pip install 'acme-manager[lego]'"


@attrs.frozen
class LexiconSource(Source):
    """The providers of dns-lexicon, as far as the extra is installed."""

    runner: PluginRunner
    installed: bool = attrs.field(factory=lambda: find_spec("lexicon") is not None)
    name: str = "lexicon"
    turns: Turns = attrs.field(factory=Turns, eq=False)

    def provider(self, name: str, environ: Mapping[str, str], lookup: Lookup) -> PatientProvider | None:
        """See Source."""
        lexicon = lexicon_providers().get(name) if self.installed else None
        if lexicon is None:
            return None
        lego = lego_providers().get(name)
        env = {key: environ[key] for key in WEB if environ.get(key)} | lexicon.environment(environ)
        return _provider(self, env, own_timing(lego, environ) if lego else Timing(), lookup)

    def providers(self) -> Iterable[ProviderInfo]:
        """See Source: also where the extra is not installed."""
        for name, lexicon in sorted(lexicon_providers().items()):
            yield _info(self, name, lexicon.name, lexicon.variables)

    def remedy(self, name: str) -> str:
        """See Source."""
        if self.installed or name not in lexicon_providers():
            return ""
        return "lexicon has it: pip install 'acme-manager[lexicon]'"


def _resolvers(lookup: Lookup) -> dict[str, str]:
    """lego finds zones, and follows CNAME records, by the resolvers that we are configured with."""
    try:
        return {_RESOLVERS: ",".join(map(str, lookup.resolvers("")))}
    except DnsFailed:  # /etc/resolv.conf names none; lego will say so, if it needs any
        return {}


def _info(source: LegoSource | LexiconSource, name: str, main: str, variables: tuple[str, ...]) -> ProviderInfo:
    return ProviderInfo(
        name=name,
        tier=Tier.VERIFIED if main in VERIFIED[source.name] else Tier.MAPPED,
        source=source.name,
        summary=f"by {source.name}",
        variables=variables,
        same_as=main if name != main else "",
        extra="" if source.installed else source.name,
    )


def _provider(
    source: LegoSource | LexiconSource, env: Mapping[str, str], timing: Timing, lookup: Lookup
) -> PluginProvider:
    path, checksum = _file(source.name)
    plugin = Plugin(name=source.name, path=path, checksum=checksum, timeout=_LIMIT, env=env)
    return PluginProvider(
        plugin=plugin,
        runner=source.runner,
        zone_of=lookup.zone_of,
        timing=timing,
        interpreter=INTERPRETER,
        turns=source.turns,
    )


@cache
def _file(name: str) -> tuple[Path, str]:
    path = plugin_file(name)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()
