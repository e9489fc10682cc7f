"""A reverse proxy in front of a CA or a store that misbehaves on request.

It passes the Host header on, so a server that builds its URLs from it (Pebble does) keeps clients at the proxy.
A fault is planned for requests whose line, as in `POST /order-plz`, matches a pattern; what is not planned for passes.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import attrs
import h11
import httpx
import trio

from acme_manager.structure import background
from tests.parts import tls
from tests.parts.place import here
from tests.parts.program import LOOPBACK

Headers = tuple[tuple[bytes, bytes], ...]
_HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"upgrade"}
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError, httpx.TransportError)


class HungUp(Exception):
    """Raised by a fault to close the client's connection without an answer."""


@attrs.frozen(kw_only=True)
class Request:
    """What a client asked for. `line` is `METHOD /target`."""

    method: str
    target: str
    headers: Headers
    body: bytes = attrs.field(repr=False)

    @property
    def line(self) -> str:
        """What patterns are matched against."""
        return f"{self.method} {self.target}"


@attrs.frozen(kw_only=True)
class Reply:
    """What the client gets. With `cut`, only so many bytes of the body before the connection is closed."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    cut: int | None = None


Forward = Callable[[], Awaitable[Reply]]
Answering = Callable[[Request], Awaitable[Reply]]


class Fault(Protocol):
    """Decides what becomes of one request. `forward()` lets the server do its part."""

    async def apply(self, forward: Forward) -> Reply:
        """The reply for the client, or HungUp."""
        ...


@attrs.frozen
class Answer:
    """Answers in the server's place, which never hears of the request."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    async def apply(self, forward: Forward) -> Reply:
        """The planned reply."""
        return Reply(status=self.status, headers=self.headers, body=self.body)


def busy(retry_after: str | None = None) -> Answer:
    """503, with a Retry-After header if asked."""
    return Answer(503, () if retry_after is None else ((b"Retry-After", retry_after.encode()),))


@attrs.frozen(kw_only=True)
class HangUp:
    """Closes the connection: before the server hears of it, or `after` it has done the work, so the reply is lost."""

    after: bool = False

    async def apply(self, forward: Forward) -> Reply:
        """Never returns."""
        if self.after:
            await forward()
        raise HungUp


@attrs.frozen
class Delay:
    """Passes the request on late. `math.inf` is a server that never answers."""

    seconds: float = math.inf

    async def apply(self, forward: Forward) -> Reply:
        """The server's reply."""
        await trio.sleep(self.seconds)
        return await forward()


@attrs.frozen(kw_only=True)
class Hold:
    """Stops a request at an exact point, before or `after` the server's part, until the test sets `release`."""

    after: bool = False
    reached: trio.Event = attrs.field(factory=trio.Event)
    release: trio.Event = attrs.field(factory=trio.Event)

    async def apply(self, forward: Forward) -> Reply:
        """The server's reply, once released."""
        reply = await forward() if self.after else None
        self.reached.set()
        await self.release.wait()
        return reply or await forward()


@attrs.frozen
class Cut:
    """Closes the connection after that many bytes of the server's body."""

    size: int

    async def apply(self, forward: Forward) -> Reply:
        """The shortened reply."""
        return attrs.evolve(await forward(), cut=self.size)


@attrs.frozen
class SpoilNonce:
    """Hands the client an anti-replay nonce that the CA will not know."""

    async def apply(self, forward: Forward) -> Reply:
        """The server's reply with another Replay-Nonce."""
        reply = await forward()
        headers = tuple((k, b"c3BvaWxlZA" if k.lower() == b"replay-nonce" else v) for k, v in reply.headers)
        return attrs.evolve(reply, headers=headers)


@attrs.define
class _Plan:
    fault: Fault
    pattern: re.Pattern[str]
    left: float


@attrs.define(kw_only=True)
class FaultProxy:
    """A running proxy. `seen` has every request so far, also those that a fault took.

    `observe` is told each request that the server has answered, before its client has the answer.
    """

    url: str
    seen: list[Request] = attrs.field(factory=list)
    observe: Callable[[Request, Reply], None] | None = None
    _plans: list[_Plan] = attrs.field(factory=list)

    def plan(self, fault: Fault, *, on: str = "", times: float = 1) -> None:
        """Let a fault have the next `times` requests whose line matches the regular expression `on`."""
        self._plans.append(_Plan(fault, re.compile(on), times))

    def heal(self) -> None:
        """Drop all plans."""
        self._plans.clear()

    def count(self, on: str) -> int:
        """How many requests so far match."""
        return sum(1 for request in self.seen if re.search(on, request.line))

    async def handle(self, request: Request, forward: Forward) -> Reply:
        """Note a request, and let the first fault that waits for it decide."""
        self.seen.append(request)

        async def answered() -> Reply:
            reply = await forward()
            if self.observe is not None:
                self.observe(request, reply)
            return reply

        for plan in self._plans:
            if plan.left > 0 and plan.pattern.search(request.line):
                plan.left -= 1
                return await plan.fault.apply(answered)
        return await answered()


@asynccontextmanager
async def fault_proxy(upstream: str, *, secure: bool | None = None) -> AsyncIterator[FaultProxy]:
    """Start a proxy before `upstream`, the base URL of a server whose certificate, if any, is of our test CA.

    It speaks TLS itself if the upstream does; `secure` says otherwise.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    async with httpx.AsyncClient(
        base_url=upstream, verify=tls.client_context(), trust_env=False, limits=limits
    ) as client:
        with_tls = upstream.startswith("https:") if secure is None else secure
        async with faulty_server(partial(_forward, client), secure=with_tls) as proxy:
            yield proxy


@asynccontextmanager
async def faulty_server(answer: Answering, *, secure: bool = False) -> AsyncIterator[FaultProxy]:
    """Start a server whose answers are those of a function, where no fault is planned."""
    address = here().address
    listeners = await trio.open_tcp_listeners(0, host=address)
    host = f"{'localhost' if address == LOOPBACK else address}:{listeners[0].socket.getsockname()[1]}"
    proxy = FaultProxy(url=f"https://{host}" if secure else f"http://{host}")
    async with background(partial(_serve, proxy, answer, listeners, secure)):
        yield proxy


async def _serve(proxy: FaultProxy, answer: Answering, listeners: list[trio.SocketListener], with_tls: bool) -> None:
    handler = partial(_converse, proxy, answer)
    if not with_tls:
        await trio.serve_listeners(handler, listeners)
        return
    context = tls.server_context(here().address)
    await trio.serve_listeners(handler, [trio.SSLListener(one, context, https_compatible=True) for one in listeners])


async def _converse(proxy: FaultProxy, answer: Answering, stream: trio.abc.Stream) -> None:
    connection = h11.Connection(h11.SERVER)
    try:
        while (request := await _receive(connection, stream)) is not None:
            reply = await proxy.handle(request, partial(answer, request))
            await _send(connection, stream, reply)
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()
    except (HungUp, *_BROKEN):
        pass  # the client sees a closed connection
    finally:
        await trio.aclose_forcefully(stream)


async def _receive(connection: h11.Connection, stream: trio.abc.Stream) -> Request | None:
    head, body = None, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some()))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = tuple((k, v) for k, v in head.headers if k not in _HOP_BY_HOP)
            return Request(method=head.method.decode(), target=head.target.decode(), headers=headers, body=body)
        else:
            return None


async def _forward(client: httpx.AsyncClient, request: Request) -> Reply:
    outgoing = client.build_request(
        request.method, request.target, headers=list(request.headers), content=request.body or None
    )
    answer = await client.send(outgoing, stream=True)
    try:
        body = b"".join([part async for part in answer.aiter_raw()])  # as it came: not decompressed
    finally:
        await answer.aclose()
    headers = tuple((k, v) for k, v in answer.headers.raw if k.lower() not in _HOP_BY_HOP)
    return Reply(status=answer.status_code, headers=headers, body=body)


async def _send(connection: h11.Connection, stream: trio.abc.Stream, reply: Reply) -> None:
    length = [(b"Content-Length", str(len(reply.body)).encode())] if reply.status not in {204, 304} else []
    head = h11.Response(status_code=reply.status, headers=[*reply.headers, *length])
    await stream.send_all(connection.send(head) or b"")
    await stream.send_all(connection.send(h11.Data(data=reply.body[: reply.cut])) or b"")
    if reply.cut is not None and reply.cut < len(reply.body):
        raise HungUp
    await stream.send_all(connection.send(h11.EndOfMessage()) or b"")
