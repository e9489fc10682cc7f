"""How our code is set up for a server, and a server whose answers a test writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import trio

from acme_manager.config.model import DnsConfig
from acme_manager.structure import background
from tests.parts.dns_server import DnsServer
from tests.parts.program import Address


def environ(server: DnsServer) -> dict[str, str]:
    return {
        "RFC2136_NAMESERVER": f"{server.address}:{server.port}",
        "RFC2136_TSIG_KEY": server.key.name,
        "RFC2136_TSIG_SECRET": server.key.secret,
        "RFC2136_TSIG_ALGORITHM": f"{server.key.algorithm}.",
        "RFC2136_PROPAGATION_TIMEOUT": "10",
    }


def config(server: DnsServer) -> DnsConfig:
    return DnsConfig(resolvers=(server.at,), timeout=2.0, authoritative_port=server.port)


Script = Callable[[int, dns.message.Message], dns.message.Message | None]
"""Called with how many TXT questions there have been, and the question; None is silence."""


@asynccontextmanager
async def scripted(address: Address, script: Script) -> AsyncIterator[None]:
    """A UDP server whose answers a test writes."""
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(address)
        async with background(partial(_serve, sock, script)):
            yield


async def _serve(sock: trio.socket.SocketType, script: Script) -> None:
    asked = 0
    while True:
        wire, source = await sock.recvfrom(65535)
        query = dns.message.from_wire(wire)
        asked += query.question[0].rdtype == dns.rdatatype.TXT
        answer = script(asked, query)
        if answer is not None:
            await sock.sendto(answer.to_wire(), source)


def reply(
    query: dns.message.Message, *values: str, kind: str = "TXT", rcode: dns.rcode.Rcode = dns.rcode.NOERROR
) -> dns.message.Message:
    """An authoritative answer with records of one type, if that is what was asked for."""
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.AA
    answer.set_rcode(rcode)
    asked = query.question[0]
    if values and dns.rdatatype.to_text(asked.rdtype) == kind:
        answer.answer.append(dns.rrset.from_text(asked.name, 5, "IN", kind, *values))
    return answer
