"""Real parts, which are asynchronous, for tests that are not: Playwright's plain API wants a thread without a loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Generic, TypeVar

import attrs
import trio

T = TypeVar("T")
Result = TypeVar("Result")


@attrs.frozen(eq=False)
class Backstage(Generic[T]):
    """What is open, and the run of Trio that holds it."""

    value: T
    _token: trio.lowlevel.TrioToken

    def call(self, work: Callable[..., Awaitable[Result]], *args: object) -> Result:
        """Have it done over there, and wait for it."""
        return trio.from_thread.run(work, *args, trio_token=self._token)

    def run(self, work: Callable[[], Result]) -> Result:
        """The same for what waits for nothing."""
        return trio.from_thread.run_sync(work, trio_token=self._token)


@contextmanager
def backstage(opening: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[Backstage[T]]:
    """Keep something open in a thread of its own. What goes wrong there is raised here."""
    opened: queue.SimpleQueue[Backstage[T] | BaseException] = queue.SimpleQueue()
    ending = trio.Event()
    failures: list[BaseException] = []

    async def hold() -> None:
        async with opening() as value:
            opened.put(Backstage(value, trio.lowlevel.current_trio_token()))
            await ending.wait()

    def run() -> None:
        try:
            trio.run(hold)
        except BaseException as error:  # noqa: ASYNC103, BLE001 it is raised in the other thread
            failures.append(error)
            opened.put(error)

    # Not a daemon: the programs that it started live as long as it does.
    thread = threading.Thread(target=run, name="backstage")
    thread.start()
    found = opened.get()
    if isinstance(found, BaseException):
        thread.join()
        raise found
    try:
        yield found
    finally:
        found.run(ending.set)
        thread.join()
    if failures:
        raise failures[0]
