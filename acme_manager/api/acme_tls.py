"""tls-alpn-01 at a TLS listener (RFC 8737): clients that speak `acme-tls/1` get the certificate that proves a name.

Everybody else gets the server's own, also while a name of its own is being validated.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import trio

from acme_manager.api.client_hello import ClientHello, Incomplete, read_client_hello
from acme_manager.errors import ChallengeNotFound

_log = structlog.get_logger(__name__)

PROTOCOL = "acme-tls/1"
_MAX_RECV = 16 * 1024
_THREADS = trio.CapacityLimiter(2)
_PATIENCE = 10.0  # seconds for a whole validation

Certificates = Callable[[str], Awaitable[bytes]]
"""Key and certificate in PEM for a server name. Raises ChallengeNotFound."""


class Replayed(trio.abc.Stream):
    """A connection whose first bytes have been read already, and are read once more."""

    def __init__(self, stream: trio.SocketStream, seen: bytes) -> None:
        self._stream, self._seen = stream, seen
        self.socket = stream.socket  # Hypercorn asks it for the addresses

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See trio.abc.Stream."""
        if not self._seen:
            return await self._stream.receive_some(max_bytes)
        await trio.lowlevel.checkpoint()
        size = max_bytes or len(self._seen)
        first, self._seen = self._seen[:size], self._seen[size:]
        return first

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See trio.abc.Stream."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See trio.abc.Stream."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """See trio.abc.Stream."""
        await self._stream.aclose()


async def read_hello(stream: trio.SocketStream) -> tuple[ClientHello, Replayed]:
    """What a client says first, and the connection as if nothing had been read.

    What is no such message counts as one that says nothing: TLS itself is to refuse it. Raises BrokenResourceError.
    """
    seen, hello = b"", ClientHello()
    while True:
        more = bytes(await stream.receive_some(_MAX_RECV))
        seen += more
        try:
            hello = read_client_hello(seen)
        except Incomplete:
            if more:
                continue
        except ValueError:
            pass
        return hello, Replayed(stream, seen)


def is_validation(hello: ClientHello) -> bool:
    """Whether a CA is validating a name: it offers this protocol and no other."""
    return hello.protocols == (PROTOCOL.encode(),)


async def show_certificate(hello: ClientHello, stream: Replayed, certificates: Certificates) -> None:
    """Shake hands with the certificate that proves the name, and close: nothing else happens (section 4).

    Without an answer for that name the connection is closed as it is. Raises nothing of its own.
    """
    asked, outcome = hello.server_name, "shown"
    with trio.move_on_after(_PATIENCE) as scope:
        try:
            context = await trio.to_thread.run_sync(_context, await certificates(asked), limiter=_THREADS)
            secured: trio.SSLStream[Any] = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
            await secured.do_handshake()
            await secured.aclose()
        except ChallengeNotFound:
            outcome = "no challenge for that name"
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            outcome = f"the client did not take it: {error.__cause__ or error}"
        finally:
            await trio.aclose_forcefully(stream)
    _log.info("tls-alpn-01 validation", server_name=asked, outcome="too slow" if scope.cancelled_caught else outcome)


def _context(certificate: bytes) -> ssl.SSLContext:
    """In a thread: Python's `ssl` reads keys from files only. This one proves a name for some seconds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8737 section 4
    context.set_alpn_protocols([PROTOCOL])
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate)
        file.flush()
        context.load_cert_chain(file.name)
    return context
