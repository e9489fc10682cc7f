"""Finding the others: what `-ring.join-members` may say, and which addresses that is just now."""

from __future__ import annotations

import enum
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence

import attrs
import dns.asyncresolver
import dns.exception
import dns.rdatatype
import structlog
import trio

from acme_manager.config.flags import Flags
from acme_manager.errors import Complaint, ConfigInvalid
from acme_manager.ring.types import Address

_log = structlog.get_logger(__name__)

DEFAULT_PORT = 7946
_PATIENCE = 5.0  # seconds for all names together; who is not known by then will be next time
_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^\[\]:\s/]+)|(?P<bare>[0-9a-fA-F.]*(?::[0-9a-fA-F.]*){2,}))"
    r"(?(bare)|(?::(?P<port>[0-9]{1,5}))?)"
)


class Lookup(enum.StrEnum):
    """How the addresses behind a seed are found; the values are the prefixes that ask for it."""

    LITERAL = ""
    HOST = "dns+"  # A and AAAA, as the host's own resolver has them (also /etc/hosts)
    SERVICE = "dnssrv+"  # SRV records (RFC 2782)


@attrs.frozen
class Seed:
    """A member to join. `expected` is false for one that is only a guess: then it is no news that it can't be found."""

    lookup: Lookup
    host: str
    port: int = DEFAULT_PORT
    expected: bool = True

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.lookup}{host}" if self.lookup is Lookup.SERVICE else f"{self.lookup}{host}:{self.port}"


def parse_seed(text: str) -> Seed:
    """Read `ip:port`, `[v6]:port`, `host:port`, `dns+host:port` or `dnssrv+_service._tcp.name`; a port may be left out.

    Raises ValueError with the remedy.
    """
    if text.startswith((Lookup.SERVICE, "dnssrvnoa+")):
        return Seed(Lookup.SERVICE, _service(text.partition("+")[2].partition(":")[0]), 0)
    match = _HOST_AND_PORT.fullmatch(text.removeprefix(Lookup.HOST))
    port = int(match["port"] or DEFAULT_PORT) if match else 0
    if match is None or not 0 < port < 65536:
        raise ValueError(
            f"'{text}' is no member to join; write ip:port, [v6]:port, host:port, dns+host:port or dnssrv+_x._tcp.zone"
        )
    host = match["v6"] or match["bare"] or match["host"]
    try:
        return Seed(Lookup.LITERAL, str(ipaddress.ip_address(host)), port)
    except ValueError:
        if match["host"] is None:
            raise ValueError(f"'{host}' in '{text}' is no IP address") from None
        return Seed(Lookup.HOST, host, port)


def _service(name: str) -> str:
    if not name or name.startswith("."):
        raise ValueError("'dnssrv+' wants the name of SRV records behind it, like dnssrv+_gossip._tcp.example.com")
    return name


def seeds_of(flags: Flags) -> tuple[Seed, ...]:
    """What `-ring.join-members` and `-ring.memberlist.join` name. Raises ConfigInvalid with every complaint."""
    given: dict[str, Sequence[str]] = {
        "-ring.join-members": flags.ring_join_members.split(","),
        "-ring.memberlist.join": flags.ring_memberlist["join"],  # type: ignore[dict-item]
    }
    seeds: list[Seed] = []
    complaints: list[Complaint] = []
    for flag, texts in given.items():
        for text in filter(None, map(str.strip, texts)):
            try:
                seeds.append(parse_seed(text))
            except ValueError as error:
                complaints.append(Complaint(flag, str(error)))
    if complaints:
        raise ConfigInvalid("command line", complaints)
    return tuple(dict.fromkeys(seeds))


def guesses(names: Iterable[str], port: int) -> tuple[Seed, ...]:
    """Seeds made of nodes' names: where a node is called as its host is, that leads to it."""
    seeds = []
    for name in names:
        try:
            seed = parse_seed(f"{Lookup.HOST}{name}:{port}")
        except ValueError:
            continue
        if seed.lookup is Lookup.HOST:
            seeds.append(attrs.evolve(seed, expected=False))
    return tuple(seeds)


class Resolver:
    """Turns seeds into addresses of the family of `like`; a failure is logged when it is new, not every time."""

    def __init__(self, like: str) -> None:
        self._version = ipaddress.ip_address(like).version
        self._failing: dict[Seed, str] = {}

    async def addresses(self, seeds: Iterable[Seed]) -> list[Address]:
        """The addresses of all of them that are known within a bounded time, each once. Raises nothing."""
        found: dict[Address, None] = {}

        async def look(seed: Seed) -> None:
            try:
                for address in await _resolve(seed):
                    found[address] = None
            except (OSError, UnicodeError, dns.exception.DNSException) as error:
                self._failed(seed, str(error) or type(error).__name__)
            else:
                self._failing.pop(seed, None)

        with trio.move_on_after(_PATIENCE) as scope:
            async with trio.open_nursery() as nursery:
                for seed in seeds:
                    nursery.start_soon(look, seed)
        if scope.cancelled_caught:
            _log.warning("some members to join could not be looked up in time", seconds=_PATIENCE)
        return [address for address in found if ipaddress.ip_address(address[0]).version == self._version]

    def _failed(self, seed: Seed, error: str) -> None:
        if seed.expected and self._failing.get(seed) != error:
            _log.warning("member to join not found", member=str(seed), error=error)
        self._failing[seed] = error


async def _resolve(seed: Seed) -> list[Address]:
    match seed.lookup:
        case Lookup.LITERAL:
            return [(seed.host, seed.port)]
        case Lookup.HOST:
            return await _host(seed.host, seed.port)
        case Lookup.SERVICE:
            answer = await dns.asyncresolver.resolve(seed.host, dns.rdatatype.SRV, lifetime=_PATIENCE)
            targets = [(record.target.to_text(omit_final_dot=True), record.port) for record in answer]
            return [address for host, port in targets for address in await _host(host, port)]


async def _host(host: str, port: int) -> list[Address]:
    infos = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(str(sockaddr[0]), int(sockaddr[1])) for *_, sockaddr in infos]
