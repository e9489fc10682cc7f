"""Small shapes of structured concurrency shared by the whole program."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio


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
