"""Small shapes of structured concurrency shared by the whole program."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import trio

T = TypeVar("T")
R = TypeVar("R")


def leaves(error: BaseException) -> list[BaseException]:
    """The errors inside a group of any depth; an error that is no group is its own only leaf."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


@contextmanager
def lone_error() -> Iterator[None]:
    """Let a single failure leave a nursery as itself; several stay a group."""
    try:
        yield
    except BaseExceptionGroup as group:
        found = leaves(group)
        if len(found) != 1:
            raise
        error, context = found[0], found[0].__context__
        try:
            raise error
        finally:
            error.__context__ = context  # not the group that carried it here
            del error, context, found


@asynccontextmanager
async def background(*loops: Callable[[], Awaitable[object]]) -> AsyncIterator[trio.Nursery]:
    """Run service loops for the length of a block, and end them with it.

    A loop that raises ends the block: a service that no longer serves is worse than a process that says so and stops.
    """
    with lone_error():
        async with trio.open_nursery() as nursery:
            for loop in loops:
                nursery.start_soon(loop)
            yield nursery
            nursery.cancel_scope.cancel(reason="the block that needed it has ended")


class Bell:
    """Wakes the one loop that waits for it; rung while that is busy, it wakes it at once the next time."""

    def __init__(self) -> None:
        self.rings = 0
        self._rung = trio.Event()

    def ring(self) -> None:
        """Wake it."""
        self.rings += 1
        self._rung.set()

    async def wait(self) -> None:
        """Return when it has been rung since the last time."""
        await self._rung.wait()
        self._rung = trio.Event()


async def together(function: Callable[[T], Awaitable[R]], items: Collection[T], *, at_once: int = 64) -> list[R]:
    """Do the same for many things, a number of them at once; the results are in the order of the items.

    The first that fails ends the others, and its error is raised as itself.
    """
    results: dict[int, R] = {}
    errors: list[Exception] = []
    waiting = iter(enumerate(items))

    async def worker() -> None:
        for index, item in waiting:
            try:
                results[index] = await function(item)
            except Exception as error:  # noqa: BLE001 it is raised below, outside the nursery
                errors.append(error)
                nursery.cancel_scope.cancel(reason="another of these has failed")

    async with trio.open_nursery() as nursery:
        for _ in range(min(at_once, len(items))):
            nursery.start_soon(worker)
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(items))]
