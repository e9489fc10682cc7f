"""Where a record is to go, and which servers speak for it.

Two ways lead to an answer. The zone's own servers are asked wherever they are going to be asked for the record
anyway: a resolver would remember for minutes that the record is not there (RFC 2308), just before it is written.
Whoever has switched that off (`ask_authoritative`) probably can't reach them, so then the resolvers are asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs
import dns.resolver
import structlog
import trio
from dns.message import Message
from dns.rdata import Rdata
from dns.rdatatype import AAAA, CNAME, NS, SOA, A, RdataType
from dns.rdatatype import to_text as type_text

from acme_manager.config.model import DnsConfig
from acme_manager.dns.answers import alias_of, records_of, referral, refusal, targets, usable, zone_of
from acme_manager.dns.challenge import enclosing
from acme_manager.dns.memo import Memo
from acme_manager.dns.wire import NoReply, Server, ask
from acme_manager.dns.zones import Rules, ZoneRules
from acme_manager.errors import DnsFailed
from acme_manager.structure import lone_error

log = structlog.get_logger(__name__)

MAX_HOPS = 8  # of CNAMEs, as resolvers have it
_MAX_CUTS = 8  # of delegations below the zone we start from
_MEMORY = 300.0  # seconds that zones and their servers are remembered
_MEMORIES = 4096
_LEAST_PATIENCE = 1.0
_SOCKETS = 100  # questions under way at once
_BLOCKED = (  # networks where only the resolvers may talk to the outside are common
    "if this host may ask its resolvers only, set ACME_MANAGER_DNS_PROPAGATIONDISABLEANS=true and "
    "ACME_MANAGER_DNS_PROPAGATIONRNS=true"
)


@attrs.frozen
class _Found:
    """What the servers of a zone say about a name, and the zone it is in."""

    zone: str
    answer: Message


@attrs.frozen
class Records:
    """The records of one type that a name has; `name` is the end of the chain of CNAMEs, where they stand."""

    name: str
    data: tuple[Rdata, ...]


class Lookup:
    """All the questions about names. One for the whole program: it remembers zones and servers, never the records."""

    def __init__(self, config: DnsConfig) -> None:
        self._config, self._rules = config, ZoneRules(config)
        self._zones = Memo[str](_MEMORY, _MEMORIES)  # of names
        self._servers = Memo[tuple[Server, ...]](_MEMORY, _MEMORIES)  # of zones
        self._sockets = trio.CapacityLimiter(_SOCKETS)
        self._system: tuple[Server, ...] = ()

    def rules(self, name: str) -> Rules:
        """How a name is asked about."""
        return self._rules.of(name)

    def resolvers(self, name: str) -> tuple[Server, ...]:
        """The configured resolvers for a name, else those of /etc/resolv.conf. Raises DnsFailed when there are none."""
        if found := self.rules(name).resolvers:
            return found
        if not self._system:
            self._system = tuple(map(Server, _system_resolvers()))
        return self._system

    async def ask(self, server: Server, name: str, kind: RdataType, *, recurse: bool, among: int = 1) -> Message:
        """Put one question to one server out of `among`, which share the configured time. Raises NoReply."""
        patience = max(self._config.timeout / among, min(_LEAST_PATIENCE, self._config.timeout))
        async with self._sockets:
            return await ask(server, name, kind, patience=patience, recurse=recurse)

    async def follow(self, name: str) -> str:
        """The name at the end of the chain of CNAMEs that starts at a name. Raises DnsFailed."""
        if not self._config.follow_cname:
            return name
        return (await self._end_of_chain(name, self._ask_for_alias))[0]

    async def records(self, name: str, kind: RdataType) -> Records:
        """The records of one type that a name has, or that the name has which it is an alias of. Raises DnsFailed.

        The zones' own servers are asked where they can be, as a CA does: what resolvers remember may be outdated.
        """

        async def ask(name: str) -> Message:
            if self.rules(name).ask_authoritative:
                return (await self._at_authority(name, kind)).answer
            return await self._resolve(name, kind)

        end, answer = await self._end_of_chain(name, ask)
        return Records(end, records_of(answer, end, kind))

    async def zone_of(self, name: str) -> str:
        """The zone that a name is in, whether or not the name is there. Raises DnsFailed."""
        if self.rules(name).ask_authoritative:
            return (await self._at_authority(name)).zone
        return await self._zone_of(enclosing(name))

    async def authoritative(self, name: str) -> tuple[Server, ...]:
        """Every server of the zone that a name is in. Raises DnsFailed."""
        if told := self.rules(name).servers:
            return told
        zone = self._zones.get(name) or (await self._at_authority(name)).zone
        return await self._servers_of(zone)

    def zone_at(self, name: str, server: Server) -> str | None:
        """The zone that a name was found in lately, if the server is one of that zone's own."""
        zone = self._zones.get(name)
        servers = self._servers.get(zone) if zone is not None else None
        own = any(one.port == server.port and server.address in {one.address, one.name} for one in servers or ())
        return zone if own else None

    def forget(self, name: str) -> None:
        """Find a name's zone and servers anew the next time: what was found led nowhere."""
        for one in enclosing(name):
            self._zones.forget(one)
            self._servers.forget(one)

    async def _end_of_chain(self, name: str, ask: Callable[[str], Awaitable[Message]]) -> tuple[str, Message]:
        path = [name]
        while (alias := alias_of(answer := await ask(path[-1]), path[-1])) is not None:
            if alias in path:
                raise DnsFailed(f"the CNAME records of {name} lead in a circle: {' -> '.join([*path, alias])}")
            if len(path) > MAX_HOPS:
                raise DnsFailed(f"more than {MAX_HOPS} CNAME records follow one another: {' -> '.join(path)}")
            path.append(alias)
        return path[-1], answer

    async def _ask_for_alias(self, name: str) -> Message:
        rules = self.rules(name)
        if rules.ask_authoritative and not rules.wait:
            return (await self._at_authority(name)).answer
        return await self._resolve(name, CNAME)

    async def _at_authority(self, name: str, kind: RdataType = CNAME) -> _Found:
        """Ask for a name's records at the servers of the zone its parent is in, or of a zone that those point to."""
        told, above = self.rules(name).servers, enclosing(name)
        zone = await self._zone_of(above if told else above[1:] or above)
        for _ in range(_MAX_CUTS):
            answer = await self._ask_any(zone, told, name, kind)
            below = referral(answer, name, zone)
            if below is None:
                own = zone_of(answer, name)
                if own is not None or kind == CNAME:  # who has a CNAME is not the apex of a zone of its own
                    self._zones.put(name, own if own is not None else zone)
                return _Found(own if own is not None else zone, answer)
            zone, told = below, ()
        raise DnsFailed(f"the zone of {name} can't be found: more than {_MAX_CUTS} delegations follow one another")

    async def _ask_any(self, zone: str, told: Sequence[Server], name: str, kind: RdataType) -> Message:
        try:
            return await self._first_usable(told or await self._servers_of(zone), name, kind, recurse=False)
        except DnsFailed:
            self.forget(name)
            raise

    async def _zone_of(self, names: Sequence[str]) -> str:
        """Walk up from the first of some names until an SOA record shows.

        The resolvers are asked for each name, even below zones that are known already: inside a company they may
        know of zones that their parent does not delegate. Where the servers of a zone are given, they are asked.
        """
        told = self.rules(names[0]).servers
        for name in names:
            zone = self._zones.get(name) or zone_of(await self._resolve(name, SOA, told), name)
            if zone is not None:
                self._zones.put(names[0], zone)
                return zone
        raise DnsFailed(f"the resolvers know no zone that {names[0]} is in", cause="zone")

    async def _servers_of(self, zone: str) -> tuple[Server, ...]:
        known = self._servers.get(zone)
        if known is not None:
            return known
        found: list[Server] = []
        hosts = sorted(set(targets(await self._resolve(zone, NS), NS)))
        with lone_error():
            async with trio.open_nursery() as nursery:
                for host in hosts:
                    nursery.start_soon(self._add_addresses, host, found)
        if not found:
            names = ", ".join(hosts) or "none"
            raise DnsFailed(f"no name server of zone {zone} has an address; its NS records: {names}")
        servers = tuple(sorted(found))
        self._servers.put(zone, servers)
        return servers

    async def _add_addresses(self, host: str, found: list[Server]) -> None:
        """IPv6 only where there is no IPv4: not every host that runs us has both. A host without address is lame, and
        a CA will not find it either."""
        try:
            addresses = targets(await self._resolve(host, A), A) or targets(await self._resolve(host, AAAA), AAAA)
        except DnsFailed as error:
            log.warning("name server not found", host=host, error=str(error))
            return
        found.extend(Server(address, self._config.authoritative_port, host) for address in addresses)

    async def _resolve(self, name: str, kind: RdataType, told: Sequence[Server] = ()) -> Message:
        return await self._first_usable(told or self.resolvers(name), name, kind, recurse=not told)

    async def _first_usable(self, servers: Sequence[Server], name: str, kind: RdataType, *, recurse: bool) -> Message:
        """Ask one after the other. Raises DnsFailed with what each of them said."""
        said: list[str] = []
        replied = False
        for server in servers:
            try:
                answer = await self.ask(server, name, kind, recurse=recurse, among=len(servers))
            except NoReply as error:
                said.append(f"{server} {error}")
                continue
            if usable(answer):
                return answer
            replied = True
            said.append(f"{server} {refusal(answer)}")
        what = f"the {type_text(kind)} record of {name or 'the root'} can't be looked up: {'; '.join(said)}"
        if not recurse and not replied:
            what = f"{what}; {_BLOCKED}"
        raise DnsFailed(what, server=str(servers[0]))


def _system_resolvers() -> Sequence[str]:
    try:
        found = [str(server) for server in dns.resolver.Resolver().nameservers]
    except dns.resolver.NoResolverConfiguration as error:
        raise DnsFailed("/etc/resolv.conf names no resolver; set ACME_MANAGER_DNS_RESOLVERS") from error
    if not found:
        raise DnsFailed("/etc/resolv.conf names no resolver; set ACME_MANAGER_DNS_RESOLVERS")
    return found
