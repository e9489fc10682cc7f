"""The ring's sockets: datagrams and connections on one port, each end of it small enough to be replaced in tests."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import attrs
import structlog
import trio

from acme_manager.ring.types import Address

_log = structlog.get_logger(__name__)

MAX_STREAMS = 128  # connections of others at once, as memberlist has it; more are closed at once
_WHOLE_DATAGRAM = 65535  # recvfrom cuts off what is longer than asked for, without an error
_RECEIVE_BUFFER = 4 * 2**20  # the default holds about 90 full packets of a burst
_ATTEMPTS = 10  # to find a port that is free for both protocols

Handler = Callable[[trio.abc.Stream, Address], Awaitable[None]]


@attrs.define(kw_only=True)
class Traffic:
    """What has passed, in all."""

    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0  # of packets
    bytes_out: int = 0
    packet_errors: int = 0  # the kernel would not send them
    streams_in: int = 0
    streams_out: int = 0
    streams_refused: int = 0  # too many at once
    streams_failed: int = 0  # broken off, late, or not understood


class Transport(Protocol):
    """Packets that may get lost, and streams. Addresses are literal: nothing here resolves a name."""

    @property
    def address(self) -> Address:
        """Where it listens."""
        ...

    @property
    def traffic(self) -> Traffic:
        """What has passed."""
        ...

    def send(self, to: Address, datagram: bytes) -> None:
        """Send a packet now or never: one that can't be sent is counted, and that is all."""
        ...

    async def receive(self) -> tuple[bytes, Address]:
        """The next packet, and where it came from. One reader at a time. Raises OSError when the socket is lost."""
        ...

    async def dial(self, to: Address) -> trio.abc.Stream:
        """Connect. Raises OSError; how long that may take is up to the caller."""
        ...

    async def serve(self, handle: Handler, patience: float) -> None:
        """Hand every connection to `handle`, for `patience` seconds at most, and close it after. Never returns."""
        ...


class Reception:
    """What surrounds the handling of a connection: a bound on their number, on their time, and on their errors."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._open = 0

    async def __call__(self, handle: Handler, patience: float, stream: trio.abc.Stream, peer: Address) -> None:
        """Let one connection be handled. Never raises: an error out of here would end the listener."""
        self._traffic.streams_in += 1
        try:
            if self._open >= MAX_STREAMS:
                self._traffic.streams_refused += 1
                return
            with self._counted(), trio.move_on_after(patience) as scope:
                await handle(stream, peer)
            if scope.cancelled_caught:
                self._traffic.streams_failed += 1
        except Exception as error:  # noqa: BLE001 whatever a peer has brought about, it ends with its connection
            self._traffic.streams_failed += 1
            _log.info("ring connection failed", peer=peer[0], error=str(error) or type(error).__name__)
        finally:
            await trio.aclose_forcefully(stream)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


class UdpTcpTransport:
    """One unconnected UDP socket, and a TCP listener on the same port. Made by `bind`; a context manager.

    Sending is not async: the kernel takes a datagram at once or not at all, so whoever acts on what it has just
    decided needs no queue and no second thought about what might have changed in between.
    """

    def __init__(self, udp: socket.socket, listener: socket.socket) -> None:
        self.traffic = Traffic()
        self._udp = udp
        self._reader = trio.socket.from_stdlib_socket(udp)
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        self._reception = Reception(self.traffic)
        self.address: Address = udp.getsockname()[:2]

    @classmethod
    def bind(cls, host: str, port: int) -> UdpTcpTransport:
        """Listen on a literal address. Port 0: one that is free for both protocols. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for attempt in range(_ATTEMPTS):
            listener = _listen(family, host, port)
            try:
                udp = _bound(family, socket.SOCK_DGRAM, host, listener.getsockname()[1])
            except OSError as error:
                listener.close()
                if port or error.errno != errno.EADDRINUSE or attempt + 1 == _ATTEMPTS:
                    raise
            else:
                _enlarge(udp)
                return cls(udp, listener)
        raise AssertionError("unreachable")

    def __enter__(self) -> UdpTcpTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both sockets; a reader gets trio.ClosedResourceError."""
        self._reader.close()
        self._listener.socket.close()

    def send(self, to: Address, datagram: bytes) -> None:
        """See Transport."""
        try:
            self._udp.sendto(datagram, to)
        except (OSError, OverflowError):  # too long, no route, no buffer, a port that is none: this one peer's problem
            self.traffic.packet_errors += 1
        else:
            self.traffic.packets_out += 1
            self.traffic.bytes_out += len(datagram)

    async def receive(self) -> tuple[bytes, Address]:
        """See Transport."""
        datagram, source = await self._reader.recvfrom(_WHOLE_DATAGRAM)
        self.traffic.packets_in += 1
        self.traffic.bytes_in += len(datagram)
        return datagram, source[:2]

    async def dial(self, to: Address) -> trio.abc.Stream:
        """See Transport."""
        family = trio.socket.AF_INET6 if ":" in to[0] else trio.socket.AF_INET
        connection = trio.socket.socket(family, trio.socket.SOCK_STREAM)
        try:
            await connection.connect(to)
        except BaseException:
            connection.close()
            raise
        self.traffic.streams_out += 1
        return trio.SocketStream(connection)

    async def serve(self, handle: Handler, patience: float) -> None:
        """See Transport."""
        await trio.serve_listeners(partial(self._receive_stream, handle, patience), [self._listener])

    async def _receive_stream(self, handle: Handler, patience: float, stream: trio.SocketStream) -> None:
        try:
            peer: Address = stream.socket.getpeername()[:2]
        except OSError:  # it is gone already
            peer = ("", 0)
        await self._reception(handle, patience, stream, peer)


def _listen(family: int, host: str, port: int) -> socket.socket:
    listener = _bound(family, socket.SOCK_STREAM, host, port)
    listener.listen(MAX_STREAMS)
    return listener


def _bound(family: int, kind: int, host: str, port: int) -> socket.socket:
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # a ring has one family: that of its addresses
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _enlarge(udp: socket.socket) -> None:
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    granted = udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux doubles it for its own accounts
    say = _log.warning if granted < _RECEIVE_BUFFER // 2 else _log.debug
    say(
        "ring receive buffer",
        granted=granted,
        asked=_RECEIVE_BUFFER,
        hint="sysctl net.core.rmem_max limits it; bursts beyond it are lost" if granted < _RECEIVE_BUFFER else "",
    )
