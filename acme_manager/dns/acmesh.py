"""The provider `acmesh`: a dnsapi script of an acme.sh that the administrator has installed (plugins/acmesh)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import attrs

from acme_manager.config.model import Plugin
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.plugin import PluginProvider
from acme_manager.dns.propagation import Timing
from acme_manager.dns.providers import PatientProvider, ProviderInfo, Source, Tier
from acme_manager.dns.shipped import INTERPRETER, WEB, plugin_file
from acme_manager.dns.turns import Turns
from acme_manager.dns.variables import Variables
from acme_manager.plugins import PluginRunner

_NAME = "acmesh"
_LIMIT = 120.0  # seconds that one run may take
_NEEDED = {
    "ACMESH_HOME": "the folder that acme.sh is installed in",
    "ACMESH_PROVIDER": "the name of a script in its dnsapi folder, such as dns_cf",
}
_OPTIONAL = ("ACMESH_VARIABLES", "ACMESH_PROPAGATION_TIMEOUT", "ACMESH_POLLING_INTERVAL")


@attrs.frozen
class AcmeShSource(Source):
    """One provider. The script's own variables are those that ACMESH_VARIABLES names: only they are passed on."""

    runner: PluginRunner
    name: str = _NAME
    turns: Turns = attrs.field(factory=Turns, eq=False)

    def provider(self, name: str, environ: Mapping[str, str], lookup: Lookup) -> PatientProvider | None:
        """See Source."""
        if name != _NAME:
            return None
        settings = Variables(environ, "")
        env = {variable: settings.needed(variable, what) for variable, what in _NEEDED.items()}
        env["ACMESH_VARIABLES"] = settings.text("ACMESH_VARIABLES")
        timing = Timing(
            timeout=settings.seconds("ACMESH_PROPAGATION_TIMEOUT", 120.0),
            interval=settings.seconds("ACMESH_POLLING_INTERVAL", Timing().interval),
        )
        for variable in filter(None, map(str.strip, env["ACMESH_VARIABLES"].split(","))):
            env[variable] = settings.needed(variable, "what the script wants, since ACMESH_VARIABLES names it")
        settings.check(f"DNS provider {_NAME}")
        path = plugin_file(_NAME)
        plugin = Plugin(
            name=_NAME,
            path=path,
            checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
            timeout=_LIMIT,
            env={**{key: environ[key] for key in WEB if environ.get(key)}, **env},
        )
        return PluginProvider(
            plugin=plugin,
            runner=self.runner,
            zone_of=lookup.zone_of,
            timing=timing,
            interpreter=INTERPRETER,
            turns=self.turns,
        )

    def providers(self) -> Iterable[ProviderInfo]:
        """See Source."""
        yield ProviderInfo(
            name=_NAME,
            tier=Tier.MAPPED,
            source=self.name,
            summary="a dnsapi script of an installed acme.sh",
            variables=(*_NEEDED, *_OPTIONAL),
        )
