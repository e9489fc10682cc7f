"""`-dns.list`, `-dns.show` and `-dns.check`: which DNS providers there are, and whether one works."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import attrs
import trio
from dns.rdatatype import TXT
from prometheus_client import CollectorRegistry

from acme_manager.clock import SystemClock
from acme_manager.config.model import Config
from acme_manager.dns import catalogue
from acme_manager.dns.answers import Sight, see
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.providers import ProviderInfo
from acme_manager.dns.registry import Registry, sources_of
from acme_manager.dns.solver import DnsSolvers
from acme_manager.dns.wire import NoReply, Server
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import InvalidRequest
from acme_manager.plugins import PluginMetrics, PluginRunner
from acme_manager.ports import Challenge
from acme_manager.structure import together

Say = Callable[[str], None]
_PATIENCE = 10.0  # seconds for a removed record to vanish
_PAUSE = 0.5


def list_providers(say: Say = print) -> None:
    """`-dns.list`. Needs no configuration, and shows what an extra would bring, too."""
    for line in catalogue.lines(_registry().providers()):
        say(line)


def show_provider(name: str, say: Say = print) -> None:
    """`-dns.show NAME`. Raises InvalidRequest for a name that no source has."""
    found = [one for source in _registry().sources for one in source.providers() if one.name == name]
    if not found:
        raise InvalidRequest(f"DNS provider '{name}' does not exist; -dns.list prints those that do", "dns.show")
    for line in catalogue.details(name, _usable_first(found)):
        say(line)


def _usable_first(found: Sequence[ProviderInfo]) -> list[ProviderInfo]:
    return sorted(found, key=lambda one: bool(one.extra))


def _registry() -> Registry:
    return Registry(sources_of(PluginRunner(PluginMetrics(CollectorRegistry()), SystemClock())))


@attrs.frozen
class Target:
    """What `-dns.check` is to try: a name of `dns_challenge`, and a name that a certificate could be for."""

    provider: str
    domain: str


def parse_target(text: str) -> Target:
    """Read PROVIDER:NAME. Raises InvalidRequest."""
    provider, colon, domain = text.strip().rpartition(":")
    if not (provider and colon and domain):
        raise InvalidRequest(f"'{text}' is not PROVIDER:ZONE, such as ovh:example.com", "dns.check")
    return Target(provider, parse_identifier(domain).base)


async def check_provider(config: Config, text: str, say: Say = print) -> None:
    """`-dns.check PROVIDER:ZONE`: write a record as an order would, see it, remove it, and say each step.

    Raises InvalidRequest, ConfigInvalid and DnsFailed; what was written is removed whatever happens.
    """
    target, began = parse_target(text), trio.current_time()
    metrics, registry = DnsMetrics(CollectorRegistry()), _registry().at(config)
    solvers = DnsSolvers(config.dns, config.environ, metrics, registry, config.dns_credentials)

    def tell(step: str) -> None:
        say(f"{trio.current_time() - began:7.2f} s  {step}")

    token = secrets.token_urlsafe(16)
    challenge = Challenge(parse_identifier(target.domain), "dns-01", token, f"{token}.{secrets.token_urlsafe(32)}")
    solver = solvers.solver(target.provider)
    (trace,) = await solver.plan([challenge])
    name, value = trace["name"], trace["value"]
    tell(f"provider '{target.provider}' is set up; the record of {target.domain} belongs at {name}")
    tell(f"zone {await solvers.lookup.zone_of(name)}; writing TXT {value}")
    async with solver.presented([trace]):
        tell("written, and shown by every server that is asked")
        for server, sight in await _look(solvers.lookup, name, value):
            tell(f"{server} {'shows it' if sight.complete else sight.words}")
    tell("removed")
    until = trio.current_time() + _PATIENCE
    after = await _look(solvers.lookup, name, value)
    while any(sight.complete for _, sight in after) and trio.current_time() < until:
        await trio.sleep(_PAUSE)
        after = await _look(solvers.lookup, name, value)
    for server, sight in after:
        tell(f"{server} {'still shows it: it may be slow to follow' if sight.complete else sight.words}")


async def _look(lookup: Lookup, name: str, value: str) -> list[tuple[Server, Sight]]:
    """What every server that is asked about a name shows."""
    recurse = not lookup.rules(name).ask_authoritative
    servers = lookup.resolvers(name) if recurse else await lookup.authoritative(name)

    async def one(server: Server) -> tuple[Server, Sight]:
        try:
            return server, see(await lookup.ask(server, name, TXT, recurse=recurse), [value])
        except NoReply as error:
            return server, Sight(complete=False, words=str(error))

    return await together(one, servers)
