"""The sockets of development mode's name server: UDP and TCP on one port of the loopback address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import dns.tsig
import structlog
import trio

from acme_manager.dev.folder import DevFailed
from acme_manager.dev.ports import HOST, free_port
from acme_manager.dev.zone import Zones
from acme_manager.structure import background

_log = structlog.get_logger(__name__)
_ATTEMPTS = 5
_UDP_LIMIT = 512  # bytes of an answer, unless the question says otherwise (RFC 1035 section 4.2.1)
_IDLE = 10.0  # seconds for a TCP connection to ask and to take its answer


@asynccontextmanager
async def open_nameserver(key: dns.tsig.Key, wished: int = 0) -> AsyncIterator[tuple[str, int]]:
    """Serve for the length of a block. Yields address and port, which is the wished one where it is free.

    Raises DevFailed when no port serves both protocols.
    """
    udp, listener = await _bind(wished)
    zones = Zones(key)
    with udp:
        async with listener:
            loops = (
                partial(_serve_udp, udp, zones),
                partial(trio.serve_listeners, partial(_serve_tcp, zones), [listener]),
            )
            async with background(*loops):
                yield HOST, int(udp.getsockname()[1])


async def _bind(wished: int) -> tuple[trio.socket.SocketType, trio.SocketListener]:
    """A port that is free for UDP need not be so for TCP, so look again when it isn't."""
    for attempt in range(_ATTEMPTS):
        udp = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        try:
            await udp.bind((HOST, free_port(wished if attempt == 0 else 0)))
            [listener] = await trio.open_tcp_listeners(udp.getsockname()[1], host=HOST)
        except OSError:
            udp.close()
        else:
            return udp, listener
    raise DevFailed(f"no port of {HOST} is free for a name server on both UDP and TCP")


async def _serve_udp(udp: trio.socket.SocketType, zones: Zones) -> None:
    while True:
        try:
            wire, source = await udp.recvfrom(65535)
            answer = zones.answer_untrusted(wire, _UDP_LIMIT)
            if answer is not None:
                await udp.sendto(answer, source)
        except OSError as error:  # one peer that can't be answered is no reason to stop
            _log.debug("DNS answer not sent", error=str(error))


async def _serve_tcp(zones: Zones, stream: trio.SocketStream) -> None:
    """One connection: messages behind two bytes of length each (RFC 1035 section 4.2.2)."""
    async with stream:
        with trio.move_on_after(_IDLE):
            try:
                while (length := await _exactly(stream, 2)) and (
                    wire := await _exactly(stream, int.from_bytes(length))
                ):
                    answer = zones.answer_untrusted(wire)
                    if answer is None:
                        return
                    await stream.send_all(len(answer).to_bytes(2) + answer)
            except trio.BrokenResourceError:
                return


async def _exactly(stream: trio.SocketStream, count: int) -> bytes:
    """That many bytes, or none when the stream ends before."""
    data = bytearray()
    while len(data) < count:
        chunk = await stream.receive_some(count - len(data))
        if not chunk:
            return b""
        data += chunk
    return bytes(data)
