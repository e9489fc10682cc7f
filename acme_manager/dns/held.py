"""Runs of a plugin that write a record and remove it at their end.

Many of lego's providers know how to remove a record only in the process that wrote it. Such a process connects to a
socket of ours once it has written, and removes the record when the connection ends: also when we die.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from acme_manager.errors import DnsFailed
from acme_manager.structure import background

Start = Callable[[str], Awaitable[None]]
"""Runs the plugin to its end; the argument is the socket's path. Raises DnsFailed."""


class _Run:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="acme-manager-hold-"))
        self.path = str(self.folder / "socket")
        self.listener = trio.socket.socket(socket.AF_UNIX)
        self.connection: trio.socket.SocketType | None = None
        self.scope = trio.CancelScope(shield=True)  # an order that is given up must not end it: it has to tidy up
        self.ended = trio.Event()
        self.error: DnsFailed | None = None

    async def see_through(self, start: Start) -> None:
        try:
            with self.scope:
                await start(self.path)
        except DnsFailed as error:
            self.error = error
        finally:
            self.ended.set()

    async def written(self) -> None:
        """Return when it says so, or has ended."""
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                await self.ended.wait()
                nursery.cancel_scope.cancel(reason="the run has ended")

            nursery.start_soon(wait)
            self.connection, _ = await self.listener.accept()
            nursery.cancel_scope.cancel(reason="the record is written")

    def let_go(self) -> None:
        """Let it remove the record: whether it has connected or is about to."""
        if self.connection:
            self.connection.close()
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Holder:
    """The runs that are under way for one order. Records are keyed by name and value."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._runs: dict[tuple[str, str], _Run] = {}

    @property
    def open(self) -> bool:
        """Whether this is within `lasting`: runs need somebody to end them."""
        return self._nursery is not None

    @asynccontextmanager
    async def lasting(self) -> AsyncIterator[None]:
        """For the length of a block runs can be held; what is left of them at its end is killed."""
        async with background() as nursery:
            self._nursery = nursery
            try:
                yield
            finally:
                self._nursery = None
                for run in self._runs.values():
                    run.let_go()
                    run.scope.cancel(reason="the order is over")
                self._runs.clear()

    async def put(self, key: tuple[str, str], start: Start, within: float) -> None:
        """Return once the record is written. Raises DnsFailed; `remove` is due all the same."""
        assert self._nursery is not None
        if key in self._runs:
            return
        run = self._runs[key] = _Run()
        await run.listener.bind(run.path)
        run.listener.listen(1)
        self._nursery.start_soon(partial(run.see_through, start))
        with trio.move_on_after(within) as scope:
            await run.written()
        if scope.cancelled_caught:
            raise DnsFailed(f"the record of {key[0]} was not written within {within:g} s", cause="unavailable")
        if run.connection is None:
            run.let_go()
            del self._runs[key]
            raise run.error or DnsFailed(f"the plugin ended without holding the record of {key[0]}")

    async def remove(self, key: tuple[str, str], within: float) -> bool:
        """Let a run remove its record, and wait until it has; False for one that is not held. Raises DnsFailed."""
        run = self._runs.pop(key, None)
        if run is None:
            return False
        run.let_go()
        try:
            with trio.move_on_after(within):
                await run.ended.wait()
        finally:
            ended = run.ended.is_set()
            run.scope.cancel(reason="it had its time")
        if not ended:
            raise DnsFailed(f"the record of {key[0]} was not removed within {within:g} s", cause="unavailable")
        if run.error:
            raise run.error
        return True
