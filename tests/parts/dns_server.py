"""What the tests want from any DNS server that takes RFC 2136 updates."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import attrs
import dns.asyncquery
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.update

from tests.parts.program import Address, Program

_TIMEOUT = 3.0  # seconds for one answer


@attrs.frozen(kw_only=True)
class TsigKey:
    """A key that may update zones; `secret` is base64."""

    name: str = "acme."
    secret: str = attrs.field(factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode(), repr=False)
    algorithm: str = "hmac-sha256"


@attrs.frozen(kw_only=True)
class DnsServer:
    """A running server on `address` and `port`, for UDP and TCP."""

    address: str
    port: int
    zones: tuple[str, ...]
    key: TsigKey
    program: Program

    @property
    def at(self) -> Address:
        """Address and port, as resolvers are configured."""
        return self.address, self.port

    async def ask(self, name: str, rdtype: str) -> dns.message.Message:
        """The server's answer. Raises dns.exception.DNSException or OSError when there is none."""
        return await ask(name, rdtype, self.at)

    async def txt(self, name: str) -> set[str]:
        """The values of a name's TXT records, through CNAMEs where the server follows them."""
        return await txt_values(name, self.at)

    async def add(self, zone: str, name: str, rdtype: str, value: str, ttl: int = 1) -> None:
        """Add a record with the server's own key, behind the back of the program under test."""
        update = self._update(zone)
        update.add(_absolute(name), ttl, rdtype, value)
        await self._send(update)

    async def remove(self, zone: str, name: str, rdtype: str, *values: str) -> None:
        """Remove the records of a name and type with these values, or all of them."""
        update = self._update(zone)
        update.delete(_absolute(name), rdtype, *values)
        await self._send(update)

    async def start(self) -> None:
        """Start it again on the same port."""
        self.program.start()
        await self.ready()

    async def stop(self) -> None:
        """End it."""
        await self.program.stop()

    async def ready(self) -> None:
        """Wait until it serves every zone, over TCP and over UDP."""
        for zone in self.zones:
            # TCP first: a port that nobody has opened yet refuses at once, where UDP would be silent.
            for transport in (dns.asyncquery.tcp, dns.asyncquery.udp):
                await self.program.ready(partial(self._serves, zone, transport))

    async def _serves(self, zone: str, transport: Callable[..., Awaitable[dns.message.Message]]) -> None:
        question = dns.message.make_query(zone, "SOA")
        if not (await transport(question, self.address, port=self.port, timeout=0.5)).answer:
            raise ConnectionError(f"{zone} is not loaded yet")

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        keyring = dns.tsigkeyring.from_text({self.key.name: self.key.secret})
        return dns.update.UpdateMessage(zone, keyring=keyring, keyalgorithm=self.key.algorithm)

    async def _send(self, update: dns.update.UpdateMessage) -> None:
        answer = await dns.asyncquery.tcp(update, self.address, port=self.port, timeout=_TIMEOUT)
        if answer.rcode() != dns.rcode.NOERROR:
            raise AssertionError(f"{self.program.name} refused the update: {dns.rcode.to_text(answer.rcode())}")


async def ask(name: str, rdtype: str, at: Address) -> dns.message.Message:
    """One server's answer. Raises dns.exception.DNSException or OSError when there is none."""
    question = dns.message.make_query(name, rdtype)
    return await dns.asyncquery.tcp(question, at[0], port=at[1], timeout=_TIMEOUT)


async def txt_values(name: str, at: Address) -> set[str]:
    """The values of the TXT records in one server's answer."""
    return {
        b"".join(record.strings).decode()
        for rrset in (await ask(name, "TXT", at)).answer
        if rrset.rdtype == dns.rdatatype.TXT
        for record in rrset
    }


def zone_file(zone: str, address: str, records: Mapping[str, Sequence[str]]) -> str:
    """A zone in master-file form: its one name server is `ns` at `address`, and no answer is cached for long.

    `records` is {zone: lines}; a line is like `_acme-challenge.www CNAME www.auth.test.`, relative to the zone.
    """
    apex = "." if zone == "." else f"{zone}."
    name_server = "ns." if zone == "." else f"ns.{zone}."
    lines = [
        f"$ORIGIN {apex}",
        "$TTL 1",
        f"@ SOA {name_server} hostmaster.invalid. 1 3600 600 86400 1",
        f"@ NS {name_server}",
        f"{name_server} A {address}",
        *records.get(zone, ()),
    ]
    return "\n".join(lines) + "\n"


def _absolute(name: str) -> dns.name.Name:
    return dns.name.from_text(name)
