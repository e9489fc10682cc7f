"""One question to one server. UDP first, TCP when the answer does not fit.

The question is put together here and sent over Trio's own socket, dnspython reads the answer: when it does all of it, a
question costs half as much CPU time again.
"""

from __future__ import annotations

import os
import socket
import struct

import attrs
import dns.asyncquery
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import trio
from dns.message import Message
from dns.rdataclass import IN
from dns.rdatatype import OPT, RdataType

_PAYLOAD = 1232  # what passes every link unfragmented
_EDNS = struct.pack(">BHHIH", 0, OPT, _PAYLOAD, 0, 0)  # RFC 6891 section 6.1.2
_FIRST_TRY = 0.2  # the part of the patience after which a packet is taken for lost and the question is put again
_LARGEST = 65535


@attrs.frozen(order=True)
class Server:
    """A DNS server; `name` is what its zone calls it."""

    address: str
    port: int = 53
    name: str = ""

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.name} ({host}:{self.port})" if self.name else f"{host}:{self.port}"


class NoReply(Exception):
    """A server gave no usable answer. The text continues a sentence that begins with the server."""


@attrs.frozen
class _Question:
    name: dns.name.Name
    kind: RdataType
    recurse: bool
    id: int = attrs.field(factory=lambda: int.from_bytes(os.urandom(2)))

    def to_wire(self) -> bytes:
        """RFC 1035 section 4.1, with EDNS."""
        flags = dns.flags.RD if self.recurse else 0
        head = struct.pack(">6H", self.id, flags, 1, 0, 0, 1)
        return b"".join([head, self.name.to_wire() or b"", struct.pack(">2H", self.kind, IN), _EDNS])

    def answered_by(self, message: Message) -> bool:
        """Whether this is the answer to this question. Servers that could not read a question may leave it out."""
        asked = [(one.name, one.rdtype) for one in message.question]
        right = asked == [(self.name, self.kind)] or (not asked and message.rcode() != 0)
        return message.id == self.id and bool(message.flags & dns.flags.QR) and right


async def ask(server: Server, name: str, kind: RdataType, *, patience: float, recurse: bool = False) -> Message:
    """Put one question, twice if the first gets lost. `patience` in seconds is for both. Raises NoReply.

    The socket is connected, so that a port where nobody listens is known at once.
    """
    try:
        question = _Question(dns.name.from_text(name + "."), kind, recurse)
        for share in (_FIRST_TRY, 1 - _FIRST_TRY):
            with trio.move_on_after(patience * share):  # over UDP and TCP together
                return await _exchange(server, question)
    except OSError as error:
        raise NoReply(f"can't be reached: {error.strerror or error}") from error
    except (dns.exception.DNSException, EOFError) as error:
        raise NoReply(f"answered with something that is no DNS message ({type(error).__name__})") from error
    except (ValueError, NotImplementedError) as error:
        raise NoReply("can't be asked: that is no IP address") from error
    raise NoReply(f"did not answer within {patience:g} s")


async def _exchange(server: Server, question: _Question) -> Message:
    wire = question.to_wire()
    with trio.socket.socket(dns.inet.af_for_address(server.address), socket.SOCK_DGRAM) as udp:
        await udp.connect((server.address, server.port))
        await udp.send(wire)
        while (answer := _read(await udp.recv(_LARGEST), question)) is None:
            pass
    if answer.flags & dns.flags.TC:
        return await dns.asyncquery.tcp(dns.message.from_wire(wire), server.address, port=server.port)
    return answer


def _read(octets: bytes, question: _Question) -> Message | None:
    """The answer, or None for a packet that is none: anybody can send us one."""
    try:
        message = dns.message.from_wire(octets)
    except (dns.exception.DNSException, ValueError):
        return None
    return message if question.answered_by(message) else None
