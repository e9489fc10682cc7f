"""What is configured for DNS, as pages and programs are shown it: variables by name and place, never by value, and both
for administrators only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from acme_manager.config.dns import AUTO, DnsCredentials
from acme_manager.config.model import Config, DnsConfig, IssuerConfig
from acme_manager.config.plugins import DNS
from acme_manager.dns.challenge import split_method
from acme_manager.dns.credentials import allowed
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.providers import ProviderInfo, Tier
from acme_manager.dns.shipped import WEB
from acme_manager.dns.solver import DnsSolvers
from acme_manager.dns.zones import Rules, ZoneRules
from acme_manager.errors import AcmeManagerError
from acme_manager.services.plugins import PluginFacts
from acme_manager.web.viewer import Viewer

Facts = dict[str, Any]


def credentials_of(config: Config, viewer: Viewer) -> list[Facts]:
    """The sets that the viewer may use, or see, by name. `variables` are names with the place of their value."""
    sets = sorted(config.dns_credentials.values(), key=lambda one: one.name)
    return [_credentials(one, viewer) for one in sets if viewer.sees_all or allowed(one, viewer.owner)]


def _credentials(one: DnsCredentials, viewer: Viewer) -> Facts:
    shown: Facts = {"name": one.name, "provider": one.provider, "zones": one.zones}
    if viewer.admin:
        places = dict.fromkeys(one.env, "config.yml") | {name: str(source) for name, source in one.env_from.items()}
        shown |= {"owners": one.owners, "variables": places, "vault": one.vault}
    return shown


def known_providers(solvers: DnsSolvers, config: Config, viewer: Viewer) -> list[Facts]:
    """Every provider that comes with us, by name. It is `ready` where variables of its own are set for this server."""
    infos = sorted(solvers.providers(), key=lambda one: one.name)
    return [_provider(one, config.environ, viewer) for one in infos if one.tier is not Tier.OWN]


def _provider(one: ProviderInfo, environ: Mapping[str, str], viewer: Viewer) -> Facts:
    own = tuple(name for name in one.variables if name not in WEB)
    found = [] if one.same_as or one.extra else sorted(_set_for(own, environ))
    shown: Facts = {
        "name": one.name,
        "level": one.tier.value,
        "source": one.source,
        "same_as": one.same_as,
        "extra": one.extra,
        "ready": bool(found),
    }
    return shown | ({"variables": own, "set": found} if viewer.admin else {})


def _set_for(own: Sequence[str], environ: Mapping[str, str]) -> Iterable[str]:
    begins = tuple(name[:-1] for name in own if name.endswith("*"))
    names = {form for name in own for form in (name, f"{name}_FILE")}
    return (
        name for name, value in environ.items() if value and (name in names or (begins and name.startswith(begins)))
    )


def defaults_of(
    solvers: DnsSolvers, config: Config, providers: Sequence[Facts], usable: Callable[[str], bool], viewer: Viewer
) -> list[Facts]:
    """What each usable issuer proves names with unless a request says otherwise."""
    sources = {one["name"]: one["source"] for one in providers}
    sources |= {one.name: "plugin" for one in config.common.plugins if one.type == DNS}
    issuers = sorted(config.issuers.values(), key=lambda one: one.name)
    return [_default(solvers, config, sources, one, viewer) for one in issuers if usable(one.name)]


def _default(
    solvers: DnsSolvers, config: Config, sources: Mapping[str, str], issuer: IssuerConfig, viewer: Viewer
) -> Facts:
    method, name = split_method(issuer.dns_challenge)
    shown: Facts = {"name": issuer.name, "dns_challenge": issuer.dns_challenge, "http_challenge": issuer.http_challenge}
    by_zone = [one for one in config.dns_credentials.values() if one.provider == name and one.zones]
    error = ""
    if not issuer.dns_challenge:
        by = ""
    elif not name:
        by = "records that stay"
    elif name == AUTO:
        by = "the credentials for the zone"
    elif name in config.dns_credentials:
        by = "credentials"
    elif by_zone:
        by = "the credentials for the zone, else variables of the server"
    else:
        by = sources.get(name, "")
        error = _why_not(solvers, name)
    shown |= {"method": method if issuer.dns_challenge else "", "by": by, "usable": not error}
    return shown | ({"error": error} if viewer.admin else {})


def _why_not(solvers: DnsSolvers, name: str) -> str:
    """Why a provider can't be set up with the variables of the server; empty if it can."""
    try:
        solvers.provider(name)
    except AcmeManagerError as error:
        return str(error)
    return ""


def plugins_of(plugins: Sequence[PluginFacts], viewer: Viewer) -> list[Facts]:
    """Those of the configuration, in its order; to others than administrators those that they can name."""
    return [_plugin(one, viewer) for one in plugins if viewer.admin or one.plugin.type == DNS]


def _plugin(one: PluginFacts, viewer: Viewer) -> Facts:
    plugin, said, run = one.plugin, one.description, one.last_run
    shown: Facts = {"name": plugin.name, "type": plugin.type, "summary": said.summary if said else ""}
    if viewer.admin:
        shown |= {
            "path": str(plugin.path),
            "checksum": plugin.checksum,
            "verified": bool(plugin.checksum),
            "timeout": plugin.timeout,
            "user": plugin.user,
            "limits": plugin.limits,
            "variables": sorted(plugin.env),
            "missing": sorted(set(said.required).difference(plugin.env)) if said else [],
            "optional": said.optional if said else (),
            "last_run": attrs.asdict(run) if run else None,
        }
    return shown


def zones_of(config: DnsConfig) -> list[Facts]:
    """How names are asked about, zone by zone; the last one, without a name, is for all others."""
    rules = ZoneRules(config)
    others = ZoneRules(attrs.evolve(config, zones={})).of("")
    return [_zone(name, rules.of(name)) for name in sorted(config.zones)] + [_zone("", others)]


def _zone(name: str, rules: Rules) -> Facts:
    asked = [("authoritative", rules.ask_authoritative), ("resolvers", rules.ask_resolvers)]
    return {
        "zone": name,
        "must_show": [] if rules.wait else [who for who, whether in asked if whether],
        "servers": [str(one) for one in rules.servers],
        "resolvers": [str(one) for one in rules.resolvers],
        "wait": rules.wait,
        "timeout": rules.timeout,
        "interval": rules.interval,
    }


def changes_of(metrics: DnsMetrics) -> list[Facts]:
    """How many records each provider has written and removed since this node started, by provider."""
    counted: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_CHANGES.values(), 0) | {"left_behind": 0})
    for family in (*metrics.changes.collect(), *metrics.left_behind.collect()):
        for sample in family.samples:
            if sample.name.endswith("_total"):
                labels = sample.labels
                kind = _CHANGES.get((labels.get("action", ""), labels.get("outcome", "")), "left_behind")
                counted[labels["provider"]][kind] += int(sample.value)
    return [{"provider": name, **figures} for name, figures in sorted(counted.items())]


_CHANGES = {
    ("put", "ok"): "written",
    ("put", "failed"): "not_written",
    ("remove", "ok"): "removed",
    ("remove", "failed"): "not_removed",
}
