"""One question to one server. UDP first, TCP when the answer does not fit."""

from __future__ import annotations

import socket

import attrs
import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.inet
import dns.message
import trio
from dns.message import Message
from dns.rdatatype import RdataType

_PAYLOAD = 1232  # what passes every link unfragmented
_FIRST_TRY = 0.2  # the part of the patience after which a packet is taken for lost and the question is put again


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


async def ask(server: Server, name: str, kind: RdataType, *, patience: float, recurse: bool = False) -> Message:
    """Put one question, twice if the first gets lost. `patience` in seconds is for both. Raises NoReply.

    The socket is connected, so that a port where nobody listens is known at once.
    """
    flags = dns.flags.RD if recurse else dns.flags.Flag(0)
    try:
        query = dns.message.make_query(name + ".", kind, use_edns=0, payload=_PAYLOAD, flags=flags)
        for share in (_FIRST_TRY, 1 - _FIRST_TRY):
            try:
                return await _exchange(server, query, patience * share)
            except dns.exception.Timeout:
                continue
    except OSError as error:
        raise NoReply(f"can't be reached: {error.strerror or error}") from error
    except (dns.exception.DNSException, EOFError) as error:
        raise NoReply(f"answered with something that is no DNS message ({type(error).__name__})") from error
    except (ValueError, NotImplementedError) as error:
        raise NoReply("can't be asked: that is no IP address") from error
    raise NoReply(f"did not answer within {patience:g} s")


async def _exchange(server: Server, query: Message, patience: float) -> Message:
    backend = dns.asyncbackend.get_backend("trio")
    where, port = server.address, server.port
    family = dns.inet.af_for_address(where)
    async with await backend.make_socket(  # type: ignore[no-untyped-call]
        family, socket.SOCK_DGRAM, 0, None, (where, port), patience
    ) as udp:
        with trio.move_on_after(patience):  # over UDP and TCP together
            answer, _ = await dns.asyncquery.udp_with_fallback(
                query, where, None, port, udp_sock=udp, backend=backend, ignore_errors=True
            )
            return answer
    raise dns.exception.Timeout
