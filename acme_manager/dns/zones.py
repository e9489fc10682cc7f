"""Who is asked about a name: the settings for all names, and what `dns_zones` says otherwise."""

from __future__ import annotations

import attrs

from acme_manager.config.dns import AUTHORITATIVE, RESOLVERS
from acme_manager.config.model import DnsConfig
from acme_manager.dns.challenge import enclosing
from acme_manager.dns.wire import Server


@attrs.frozen(kw_only=True)
class Rules:
    """How names of one zone are asked about. Times are in seconds; 0 means as the provider has it."""

    resolvers: tuple[Server, ...]  # empty: those of the system
    servers: tuple[Server, ...] = ()  # in the place of those that NS records name
    ask_authoritative: bool
    ask_resolvers: bool
    wait: float  # above 0: instead of looking
    timeout: float = 0.0
    interval: float = 0.0


class ZoneRules:
    """Finds the rules for a name."""

    def __init__(self, config: DnsConfig) -> None:
        self._others = Rules(
            resolvers=_servers(config.resolvers),
            ask_authoritative=config.ask_authoritative,
            ask_resolvers=config.ask_resolvers,
            wait=config.propagation_wait,
        )
        self._zones = {zone: self._of_zone(config, zone) for zone in config.zones}

    def of(self, name: str) -> Rules:
        """Those of the longest zone that the name is in."""
        if not self._zones:
            return self._others
        return next((self._zones[zone] for zone in enclosing(name) if zone in self._zones), self._others)

    def _of_zone(self, config: DnsConfig, name: str) -> Rules:
        zone, others = config.zones[name], self._others
        looks = bool(zone.check or zone.servers)  # whoever says where to look wants it instead of a wait
        return Rules(
            resolvers=_servers(zone.resolvers) or others.resolvers,
            servers=_servers(zone.servers),
            ask_authoritative=zone.check == AUTHORITATIVE
            if zone.check
            else bool(zone.servers) or others.ask_authoritative,
            ask_resolvers=zone.check == RESOLVERS if zone.check else others.ask_resolvers,
            wait=zone.wait or (0.0 if looks else others.wait),
            timeout=zone.timeout,
            interval=zone.interval,
        )


def _servers(pairs: tuple[tuple[str, int], ...]) -> tuple[Server, ...]:
    return tuple(Server(address, port) for address, port in pairs)
