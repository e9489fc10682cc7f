"""Where sockets are made and programs started: this machine, or a host in a network namespace (see hosts.py).

Code between `with place.here():` and the block's end, and every task started there, is at that place without knowing
it: Trio's sockets, and so httpx and dnspython, are made there, and so are our `free_ports`; a Program stays at the
place where it was made.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import attrs
import httpx
import trio

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_OURS = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


@attrs.frozen(eq=False)
class Place:
    """A place with an address of its own. The namespace lives until it is closed and no process or socket is in it."""

    name: str
    address: str
    namespace: int | None = None  # a file descriptor; None: where this process runs

    @contextmanager
    def here(self) -> Iterator[None]:
        """Be at this place for the length of a block."""
        token = _place.set(self)
        try:
            yield
        finally:
            _place.reset(token)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the kernel put this thread there. Nothing in the block may await: the thread is everybody's."""
        if self.namespace is None:
            yield
            return
        home = os.open(_OURS, os.O_RDONLY)
        try:
            _call("setns", self.namespace, _NEW_NETWORK)
            try:
                yield
            finally:
                _call("setns", home, _NEW_NETWORK)
        finally:
            os.close(home)

    def socket(self, family: int, type: int, proto: int = 0) -> socket.socket:
        """A socket that belongs to this place for ever."""
        with self.entered():
            return socket.socket(family, type, proto)

    def wire(self) -> httpx.AsyncHTTPTransport:
        """What a client of httpx at this place sends through, wherever its requests are made."""
        return _Wire(self)


THIS_MACHINE = Place("this machine", "127.0.0.1")
_place: ContextVar[Place] = ContextVar("place", default=THIS_MACHINE)


def here() -> Place:
    """The place where we are."""
    return _place.get()


def new_namespace() -> int:
    """A file descriptor of a new network namespace without a name: the kernel removes it with its last user.

    Raises OSError where this process may not make one.
    """
    home = os.open(_OURS, os.O_RDONLY)
    try:
        _call("unshare", _NEW_NETWORK)
        try:
            return os.open(_OURS, os.O_RDONLY)
        finally:
            _call("setns", home, _NEW_NETWORK)
    finally:
        os.close(home)


def use_places() -> None:
    """Have this run of Trio make its sockets where we are, not only where this process runs."""
    trio.socket.set_custom_socket_factory(_Sockets())


class _Sockets(trio.abc.SocketFactory):
    def socket(
        self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0
    ) -> trio.socket.SocketType:
        return trio.socket.from_stdlib_socket(here().socket(family, type, proto))


class _Wire(httpx.AsyncHTTPTransport):
    def __init__(self, place: Place) -> None:
        super().__init__(verify=False, trust_env=False)  # a context for TLS takes 20 ms, and nodes speak none
        self._place = place

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with self._place.here():
            return await super().handle_async_request(request)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
