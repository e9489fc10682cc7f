"""One client's connection: Hypercorn's protocol code inside limits that Hypercorn's own worker lacks.

That worker waits without end for a client that sends its headers byte by byte or does not take its answer, an error in
one connection's protocol ends the whole server, and it starts a task per request just to time idleness. Its connection
class is no public interface: pyproject.toml pins the minor version, and tests/unit/api/test_server.py has every limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

import attrs
import h11
import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState

_log = structlog.get_logger(__name__)

_PART = 64 * 1024  # bytes of an answer that are sent without waiting for its end
_UNBUFFERED = (b"x-accel-buffering", b"no")


@attrs.frozen(kw_only=True)
class Limits:
    """How long a client may take, in seconds; `inf` is for ever."""

    header: float = 10.0  # from the opening of the connection, or the first byte, to the end of a request's head
    idle: float = 300.0  # between two requests
    write: float = 30.0  # to take each part of an answer
    drain: float = 20.0  # to finish what is in flight once the server stops


class Context(WorkerContext):
    """What all connections of one server share."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(None)
        self.limits = limits
        self.timers: set[IdleTimer] = set()
        self._drained = inf
        self._writes: set[trio.CancelScope] = set()

    async def stop(self) -> float:
        """Close idle connections at once and the others with their answer. Returns when it must be over."""
        self._drained = trio.current_time() + self.limits.drain
        await self.terminated.set()
        for timer in self.timers:
            timer.hurry()
        for scope in self._writes:
            scope.deadline = min(scope.deadline, self._drained)
        return self._drained

    @contextmanager
    def writing(self) -> Iterator[trio.CancelScope]:
        """A scope for one write: cancellation does not cut it in two, but it does not last for ever."""
        deadline = min(trio.current_time() + self.limits.write, self._drained)
        with trio.CancelScope(deadline=deadline, shield=True) as scope:
            self._writes.add(scope)
            try:
                yield scope
            finally:
                self._writes.discard(scope)


class IdleTimer:
    """Ends the wait for a next request in time: a deadline of the read that is waiting anyway.

    It has the interface of what Hypercorn does the same with (a task that sleeps), so its code drives it.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._due = inf
        self._idle = False
        self._read: trio.CancelScope | None = None

    async def restart(self, *_unused: object) -> None:
        """The connection became idle."""
        self._idle = True
        stopping = self._context.terminated.is_set()
        self._move(trio.current_time() + (0 if stopping else self._context.limits.idle))

    async def stop(self) -> None:
        """A request has come."""
        self._idle = False
        self._move(inf)

    def hurry(self) -> None:
        """The server stops: there will be no next request."""
        if self._idle:
            self._move(trio.current_time())

    def watch(self, deadline: float) -> trio.CancelScope:
        """A scope for the next read, which ends at the deadline or when the connection was idle for too long."""
        self._read = trio.CancelScope(deadline=min(deadline, self._due))
        return self._read

    def _move(self, due: float) -> None:
        self._due = due
        if self._read is not None:
            self._read.deadline = due


class Connection(TCPServer):
    """Serves one TCP or TLS connection."""

    def __init__(self, app: AppWrapper, config: Config, context: Context, stream: Any) -> None:
        super().__init__(app, config, context, ConnectionState({}), stream)
        self._shared = context
        self._timer = IdleTimer(context)
        self.idle_task = self._timer  # type: ignore[assignment]
        self._unsent = bytearray()

    async def run(self) -> None:
        """Serve until either side closes. Raises nothing: one client's nonsense must not reach the others."""
        self._shared.timers.add(self._timer)
        try:
            await super().run()
        except Exception as error:  # noqa: BLE001
            _log.warning("connection failed", error=repr(error))
        finally:
            self._shared.timers.discard(self._timer)

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol wants: write, close, or time how long the connection is idle."""
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        self._unsent += event.data
        if self._unsent and (len(self._unsent) >= _PART or not self._in_answer()):
            await self._write()

    async def _write(self) -> None:
        async with self.send_lock:
            data, self._unsent = bytes(self._unsent), bytearray()
            with self._shared.writing() as scope:
                try:
                    await self.stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    await self.protocol.handle(Closed())
        if scope.cancelled_caught:
            await trio.aclose_forcefully(self.stream)

    async def _read_data(self) -> None:
        head_due = trio.current_time() + self._shared.limits.header
        while True:
            data = b""
            try:
                with self._timer.watch(head_due):
                    data = bytes(await self.stream.receive_some(MAX_RECV))
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                pass
            if not data:
                break
            await self.protocol.handle(RawData(data))
            head_due = min(head_due, trio.current_time() + self._shared.limits.header) if self._in_head() else inf
        await self.protocol.handle(Closed())

    def _in_head(self) -> bool:
        """Whether the head of a request has begun and not ended."""
        protocol = self.protocol.protocol
        if not isinstance(protocol, H11Protocol):
            return False
        return protocol.connection.their_state is h11.IDLE and bool(protocol.connection.trailing_data[0])

    def _in_answer(self) -> bool:
        """Whether an answer has begun and not ended. Its parts are sent as one: writing costs more than they do.

        Not those of an answer that says, to proxies too, that its reader waits for each part.
        """
        protocol = self.protocol.protocol
        if not isinstance(protocol, H11Protocol) or protocol.connection.our_state is not h11.SEND_BODY:
            return False
        answer = getattr(protocol.stream, "response", None)  # not there for Hypercorn's own answers
        return answer is None or _UNBUFFERED not in answer["headers"]
