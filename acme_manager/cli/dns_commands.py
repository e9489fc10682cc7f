"""`-dns.list`, `-dns.show` and `-dns.check`: which DNS providers there are, and whether one works."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import attrs
import trio
from dns.rdatatype import TXT
from prometheus_client import CollectorRegistry

from acme_manager.clock import SystemClock
from acme_manager.config.model import Config
from acme_manager.dns import catalogue
from acme_manager.dns.answers import UNSEEN, Sight, see
from acme_manager.dns.challenge import Record
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
from acme_manager.storage.vault import open_vault
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


@attrs.define
class _Steps:
    """Says each step with the time that it came at. An observer of the solver: servers are named when they change."""

    say: Say
    began: float = attrs.field(factory=trio.current_time)
    shown: dict[Server, str] = attrs.field(factory=dict)

    def tell(self, step: str) -> None:
        self.say(f"{trio.current_time() - self.began:7.2f} s  {step}")

    def written(self, record: Record) -> None:
        """See DnsObserver."""
        by = f", with the credentials '{record.credentials}'" if record.credentials else ""
        self.tell(f"written by {record.provider}{by}: {record.name} TXT {record.value}")

    def seen(self, _name: str, server: Server, sight: Sight) -> None:
        """See DnsObserver."""
        words = "shows it" if sight.complete else sight.words
        if sight is not UNSEEN and self.shown.get(server) != words:
            self.shown[server] = words
            self.tell(f"{server} {words}")


async def check_provider(config: Config, text: str, say: Say = print) -> None:
    """`-dns.check PROVIDER:ZONE`: write a record as an order would, see it, remove it, and say each step.

    Whose certificates a set of credentials is for makes no difference here. Raises InvalidRequest, ConfigInvalid,
    DnsFailed and what storage raises; what was written is removed whatever happens.
    """
    target, steps, metrics = parse_target(text), _Steps(say), CollectorRegistry()
    sets = {name: attrs.evolve(one, owners=()) for name, one in config.dns_credentials.items()}
    registry = _registry().at(config)
    solvers = DnsSolvers(config.dns, config.environ, DnsMetrics(metrics), registry, sets)
    async with AsyncExitStack() as stack:
        if any(one.vault or one.env_from for one in sets.values()):
            solvers.secrets.storage = await stack.enter_async_context(open_vault(config.vault, metrics))
        await _check(solvers, target, steps)


async def _check(solvers: DnsSolvers, target: Target, steps: _Steps) -> None:
    token = secrets.token_urlsafe(16)
    challenge = Challenge(parse_identifier(target.domain), "dns-01", token, f"{token}.{secrets.token_urlsafe(32)}")
    solver = solvers.solver(target.provider)
    solver.observer = steps
    (trace,) = await solver.plan([challenge])
    name, value = trace["name"], trace["value"]
    steps.tell(f"the record of {target.domain} belongs at {name}, in the zone {await solvers.lookup.zone_of(name)}")
    async with solver.presented([trace]):
        steps.tell("every server that is asked shows it" if steps.shown else "no server is asked, as it is configured")
    steps.tell("removed")
    until = trio.current_time() + _PATIENCE
    after = await _look(solvers.lookup, name, value)
    while any(sight.complete for _, sight in after) and trio.current_time() < until:
        await trio.sleep(_PAUSE)
        after = await _look(solvers.lookup, name, value)
    for server, sight in after:
        steps.tell(f"{server} {'still shows it: it may be slow to follow' if sight.complete else sight.words}")


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
