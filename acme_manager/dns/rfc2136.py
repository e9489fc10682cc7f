"""Dynamic updates (RFC 2136), signed with TSIG (RFC 8945), over TCP.

TCP, because a lost datagram would leave open whether an update was made, and because some servers are slow over UDP.
One connection per change: keeping them open would save 0.3 ms of 0.9 ms of work, and cost a lifetime to manage.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdtypes.ANY.TXT
import dns.tsig
import dns.update
import trio
from dns.rcode import NOERROR, NOTAUTH, NOTZONE, NXDOMAIN, REFUSED, SERVFAIL
from dns.rcode import to_text as rcode_text
from dns.rdataclass import IN
from dns.rdatatype import SOA, TXT

from acme_manager.connections import reason
from acme_manager.dns.answers import referral, zone_of
from acme_manager.dns.challenge import enclosing
from acme_manager.dns.memo import Memo
from acme_manager.dns.propagation import Timing
from acme_manager.dns.tsig import read_key
from acme_manager.dns.variables import Variables
from acme_manager.dns.wire import Server
from acme_manager.errors import DnsFailed

PREFIXES = {"rfc2136": ("RFC2136_", "DNSUPDATE_"), "dnsupdate": ("DNSUPDATE_", "RFC2136_")}
_ZONE_MEMORY = 300.0
_PERHAPS_ANOTHER_ZONE = frozenset(
    {REFUSED, NOTAUTH, NOTZONE}
)  # to whoever has our key, the server may show other zones
_CAUSES = {REFUSED: "credentials", NOTAUTH: "zone", NOTZONE: "zone"}  # of a refusal, as DnsFailed has them
_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^\[\]:\s]+|[0-9a-fA-F.]*(?::[0-9a-fA-F.]*){2,}))(?::(?P<port>[0-9]{1,5}))?"
)


@attrs.frozen(kw_only=True)
class Settings:
    """What the `RFC2136_*` or `DNSUPDATE_*` variables say; docs/dns.md lists them."""

    host: str
    port: int
    key: dns.tsig.Key | None = attrs.field(repr=False)
    ttl: int
    timeout: float  # seconds for one change, connecting included
    timing: Timing


def read_settings(environ: Mapping[str, str], name: str = "rfc2136") -> Settings:
    """Raises ConfigInvalid with everything that is wrong."""
    variables = Variables(environ, *PREFIXES[name])
    nameserver = variables.needed("NAMESERVER", "the address of the primary name server: host or host:port")
    host, port = _host_and_port(variables, nameserver) if nameserver else ("", 53)
    settings = Settings(
        host=host,
        port=port,
        key=read_key(variables),
        ttl=variables.whole("TTL", 120, most=2**31 - 1),
        timeout=variables.seconds("DNS_TIMEOUT", 10.0),
        timing=Timing(
            timeout=variables.seconds("PROPAGATION_TIMEOUT", Timing().timeout),
            interval=variables.seconds("POLLING_INTERVAL", Timing().interval),
        ),
    )
    variables.check(f"DNS provider {name}")
    return settings


def _host_and_port(variables: Variables, text: str) -> tuple[str, int]:
    """`host`, `host:port`, `::1`, `[::1]` or `[::1]:port`."""
    match = _HOST_AND_PORT.fullmatch(text)
    port = int(match["port"] or 53) if match else 0
    if match is None or not 0 < port < 65536:
        variables.complain("NAMESERVER", f"'{text}' is not of the form host or host:port")
        return "", 53
    return match["v6"] or match["host"], port


class Rfc2136:
    """The DnsProvider for servers that take dynamic updates: BIND, Knot, PowerDNS, Windows and others.

    `zone_at` may know the zone of a name at our server, which spares a question.
    """

    def __init__(
        self, settings: Settings, zone_at: Callable[[str, Server], str | None] = lambda _name, _server: None
    ) -> None:
        self._settings, self._zone_at = settings, zone_at
        self._zones = Memo[str](_ZONE_MEMORY, 4096)  # of names
        self._at = Server(settings.host, settings.port)
        self._server = str(self._at)

    @property
    def timing(self) -> Timing:
        """How long to wait for the servers of the zone to show a change."""
        return self._settings.timing

    async def put_txt(self, name: str, value: str) -> None:
        """Add a value, and leave others alone: a wildcard and its base share a name. Raises DnsFailed."""
        await self._change(name, value, add=True)

    async def remove_txt(self, name: str, value: str) -> None:
        """Remove this value only. Raises DnsFailed."""
        await self._change(name, value, add=False)

    async def own_zone(self, name: str) -> str:
        """The server's zone that a name is in. Raises DnsFailed, also where the server does not accept our key.

        This is what can be told without writing; what the key may change in the zone, only an update shows.
        """
        async with self._connected() as stream:
            return await self._zone_of(stream, name)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[trio.SocketStream]:
        """A connection for one piece of work, bounded in time; whatever goes wrong in it leaves as DnsFailed."""
        try:
            with trio.fail_after(self._settings.timeout):
                async with await trio.open_tcp_stream(self._settings.host, self._settings.port) as stream:
                    yield stream
        except trio.TooSlowError as error:
            raise self._failed(f"did not answer within {self._settings.timeout:g} s") from error
        except (OSError, trio.BrokenResourceError) as error:
            raise self._failed(f"can't be reached: {reason(error)}") from error
        except dns.exception.DNSException as error:
            unreadable = isinstance(error, dns.exception.FormError)
            raise self._failed(self._explain(error), "" if unreadable else "credentials") from error

    async def _change(self, name: str, value: str, *, add: bool) -> None:
        record = dns.rdtypes.ANY.TXT.TXT(IN, TXT, [value.encode("ascii")])
        owner = dns.name.from_text(name)

        def update(zone: str) -> dns.update.UpdateMessage:
            message = dns.update.UpdateMessage(dns.name.from_text(zone))
            if add:
                message.add(owner, self._settings.ttl, record)
            else:
                message.delete(owner, record)
            return message

        known = self._zones.get(name)
        told = None if known else self._zone_at(name, self._at)
        async with self._connected() as stream:
            zone = known or told or await self._zone_of(stream, name)
            reply = await self._exchange(stream, update(zone))
            if told and reply.rcode() in _PERHAPS_ANOTHER_ZONE:
                zone = await self._zone_of(stream, name)
                reply = await self._exchange(stream, update(zone))
        if reply.rcode() != NOERROR:
            self._zones.forget(name)
            raise self._failed(self._refusal(reply, name, zone), _CAUSES.get(reply.rcode(), ""))
        self._zones.put(name, zone)

    async def _zone_of(self, stream: trio.SocketStream, name: str) -> str:
        """The server itself knows best which of its zones a name is in; signed, as the key may choose the view."""
        for candidate in enclosing(name):
            query = dns.message.make_query(candidate, SOA, flags=dns.flags.Flag(0))
            answer = await self._exchange(stream, query)
            zone = zone_of(answer, candidate)
            if zone:
                return zone
            below = referral(answer, candidate, "")
            if below:
                raise self._failed(f"is not in charge of {name}: it points to the servers of zone {below}", "zone")
        raise self._failed(f"has no zone that {name} is in", "zone")

    async def _exchange(self, stream: trio.SocketStream, message: dns.message.Message) -> dns.message.Message:
        """Send one message, signed if there is a key, and read the answer to it (RFC 1035 section 4.2.2)."""
        if self._settings.key:
            message.use_tsig(self._settings.key)
        await stream.send_all(message.to_wire(prepend_length=True))
        length = int.from_bytes(await _exactly(stream, 2), "big")
        wire = await _exactly(stream, length)
        reply = _read(wire, message)
        if not message.is_response(reply):
            raise dns.exception.FormError
        return reply

    def _failed(self, what: str, cause: str = "") -> DnsFailed:
        return DnsFailed(f"name server {self._server} {what}", server=self._server, cause=cause)

    def _explain(self, error: dns.exception.DNSException) -> str:
        key = self._settings.key.name.to_text(omit_final_dot=True) if self._settings.key else ""
        match error:
            case dns.tsig.PeerBadSignature():
                return f"does not accept our signature: it knows the TSIG key '{key}' with another secret or algorithm"
            case dns.tsig.PeerBadKey():
                return f"does not know the TSIG key '{key}'"
            case dns.tsig.PeerBadTime() | dns.tsig.BadTime():
                return "and this host have clocks that differ by more than TSIG allows (5 minutes)"
            case dns.tsig.PeerBadTruncation():
                return "wants longer TSIG signatures than we send"
            case dns.tsig.BadSignature() | dns.tsig.BadKey() | dns.tsig.BadAlgorithm() | dns.message.UnknownTSIGKey():
                return f"signs its answers in another way than with the TSIG key '{key}'"
            case _Unsigned():
                return "did not sign its answer to a signed message: this may be another server, or a forgery"
            case _:
                return f"gave an answer that can't be read ({type(error).__name__})"

    def _refusal(self, reply: dns.message.Message, name: str, zone: str) -> str:
        code = reply.rcode()
        about = f"the TXT record of {name} in zone {zone} ({rcode_text(code)})"
        if code in {REFUSED, NOTAUTH} and not self._settings.key:
            return (
                f"refuses to change {about}: the update was not signed, since RFC2136_TSIG_KEY or RFC2136_TSIG_SECRET "
                "is not set"
            )
        if code == REFUSED:
            key = self._settings.key.name.to_text(omit_final_dot=True) if self._settings.key else ""
            return f"refuses to change {about}: its policy does not let the TSIG key '{key}' do that"
        if code in {NOTAUTH, NOTZONE}:
            return f"does not change {about}: it is not the primary of that zone"
        if code == SERVFAIL:
            return f"failed to change {about}; its log says why, often that it may not write its zone's journal"
        return f"did not change {about}"


class _Unsigned(dns.exception.DNSException):
    """Who signs a question must get a signed answer, refusals excepted (RFC 8945 section 5.3)."""


def _read(wire: bytes, message: dns.message.Message) -> dns.message.Message:
    try:
        reply = dns.message.from_wire(wire, keyring=message.keyring, request_mac=message.mac)
    except dns.exception.FormError:
        reply = dns.message.from_wire(wire)  # raises, too, unless the signature was all that was missing
    if message.keyring and not reply.had_tsig and reply.rcode() in {NOERROR, NXDOMAIN}:
        raise _Unsigned
    return reply


async def _exactly(stream: trio.SocketStream, count: int) -> bytes:
    octets = bytearray()
    while len(octets) < count:
        more = await stream.receive_some(count - len(octets))
        if not more:
            raise ConnectionResetError("it closed the connection instead of answering")
        octets += more
    return bytes(octets)
