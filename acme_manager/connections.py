"""Ways to other servers: proxies, and kept connections to CAs and to Vault: HTTP/1.1 by h11, over Trio's TLS streams.

httpx's own transport could do this, and does it where there is a proxy. It takes more than twice the CPU time: it sends
the head and the body of a request one by one, each as a TLS record in a system call of its own, and looks through its
whole pool before and after each request.
"""

from __future__ import annotations

import ipaddress
import math
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from urllib import request as urllib_request

import h11
import httpx
import trio

_NO_TIMEOUTS: Mapping[str, float] = {}
_LONGEST_HEAD = 100 * 1024
_CHUNK = 64 * 1024

Origin = tuple[str, str, int | None]


class KeptConnections(httpx.AsyncBaseTransport):
    """A transport with up to `most` connections at once, which are kept for `idle` seconds after their last use.

    Raises httpx.TransportError. Of a request's timeouts `connect` includes the TLS handshake, `read` and `write` are
    for each silence; the wait for a connection to become free is bound by the caller's deadline only.
    """

    def __init__(self, tls: ssl.SSLContext, *, most: int, idle: float) -> None:
        tls.set_alpn_protocols(["http/1.1"])
        self._tls, self._most, self._seconds = tls, most, idle
        self._turns = trio.Semaphore(most)
        self._idle: list[_Connection] = []  # the one used last is at the end

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. The connection is free again once the stream of the response is closed."""
        await self._turns.acquire()
        connection = None
        try:
            connection = self._kept(_origin(request.url)) or await self._connect(request)
            await connection.send(request)
            head = await connection.head()
        except BaseException:
            self._turns.release()
            if connection is not None:
                connection.close()
            raise
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=_Body(self, connection))

    def give_back(self, connection: _Connection) -> None:
        """Keep a connection whose answer has been read to its end; close any other."""
        self._turns.release()
        if not connection.begin_anew(trio.current_time() + self._seconds):
            connection.close()
            return
        self._idle.append(connection)
        if len(self._idle) > self._most:
            self._idle.pop(0).close()

    async def aclose(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().close()

    def _kept(self, origin: Origin) -> _Connection | None:
        for connection in reversed(self._idle.copy()):
            if connection.origin == origin:
                self._idle.remove(connection)
                if connection.usable():
                    return connection
                connection.close()
        return None

    async def _connect(self, request: httpx.Request) -> _Connection:
        host = request.url.raw_host.decode("ascii")
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        seconds = _timeouts(request).get("connect", math.inf)
        with _told(httpx.ConnectError, httpx.ConnectTimeout), trio.fail_after(seconds):
            socket = await trio.open_tcp_stream(host, port)
            if request.url.scheme != "https":
                return _Connection(_origin(request.url), socket, socket)
            name = request.extensions.get("sni_hostname", host)
            stream = trio.SSLStream(socket, self._tls, server_hostname=name, https_compatible=True)
            try:
                await stream.do_handshake()
            except BaseException:
                socket.socket.close()
                raise
            return _Connection(_origin(request.url), stream, socket)


class _Connection:
    """One connection, used for one request at a time. `socket` is what the stream lies upon."""

    def __init__(self, origin: Origin, stream: trio.abc.Stream, socket: trio.SocketStream) -> None:
        self.origin = origin
        self._stream, self._socket = stream, socket
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._expires, self._timeouts = 0.0, _NO_TIMEOUTS

    async def send(self, request: httpx.Request) -> None:
        """Send a whole request in one go."""
        self._timeouts = _timeouts(request)
        with _told(httpx.WriteError, httpx.WriteTimeout):
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            parts = [self._http.send(one) for one in (head, h11.Data(data=request.content), h11.EndOfMessage())]
            with trio.fail_after(self._timeouts.get("write", math.inf)):
                await self._stream.send_all(b"".join(part for part in parts if part))

    async def head(self) -> h11.Response:
        """Wait for the status and the headers."""
        while isinstance(event := await self._next(), h11.InformationalResponse):
            pass
        assert isinstance(event, h11.Response)
        return event

    async def body(self) -> AsyncIterator[bytes]:
        """What follows the head."""
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    async def _next(self) -> object:
        with _told(httpx.ReadError, httpx.ReadTimeout):
            while True:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                with trio.fail_after(self._timeouts.get("read", math.inf)):
                    octets = await self._stream.receive_some(_CHUNK)
                if not octets and self._http.their_state is h11.SEND_RESPONSE:
                    raise h11.RemoteProtocolError("the connection was closed instead of an answer")
                self._http.receive_data(bytes(octets))

    def begin_anew(self, expires: float) -> bool:
        """Make ready for another request, unless something of the last one is left over or they want to close."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self._expires = expires
        return True

    def usable(self) -> bool:
        """Whether an idle connection is young enough, and still open: nobody has anything to say on it but goodbye."""
        return trio.current_time() < self._expires and not self._socket.socket.is_readable()

    def close(self) -> None:
        """Close it at once, without the farewells of TLS."""
        self._socket.socket.close()


class _Body(httpx.AsyncByteStream):
    """The body of a response."""

    def __init__(self, pool: KeptConnections, connection: _Connection) -> None:
        self._pool, self._connection, self._open = pool, connection, True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._connection.body()

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._pool.give_back(self._connection)


def _origin(url: httpx.URL) -> Origin:
    return url.scheme, url.host, url.port


def _timeouts(request: httpx.Request) -> Mapping[str, float]:
    timeouts: Mapping[str, float] = request.extensions.get("timeout", _NO_TIMEOUTS)
    return timeouts


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it: the libraries in between pass on neither its text nor its type."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def reason(error: BaseException) -> str:
    """Why a connection failed: `open_tcp_stream` hides what the system said behind its own words."""
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    found = cause if isinstance(cause, OSError) else error
    if isinstance(found, OSError) and found.errno and found.errno > 0:
        return os.strerror(found.errno)
    return str(found)


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def proxy_for(url: httpx.URL, environ: Mapping[str, str]) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY ask for; never one for this machine."""

    def variable(name: str) -> str:
        return environ.get(name.lower()) or environ.get(name.upper()) or ""

    if is_loopback(url.host) or _bypasses_proxy(url.host, variable("no_proxy")):
        return None
    proxy = variable(f"{url.scheme}_proxy") or variable("all_proxy")
    return (proxy if "://" in proxy else f"http://{proxy}") if proxy else None


def _bypasses_proxy(host: str, no_proxy: str) -> bool:
    # Public in all but name: typeshed leaves it out.
    return bool(urllib_request.proxy_bypass_environment(host, {"no": no_proxy}))  # type: ignore[attr-defined]


@contextmanager
def _told(broken: type[httpx.NetworkError], late: type[httpx.TimeoutException]) -> Iterator[None]:
    """Raise what goes wrong as httpx's transports do."""
    try:
        yield
    except trio.TooSlowError as error:
        raise late("") from error
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise broken(reason(error)) from error
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
