"""Do the same for many things at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from acme_manager.errors import DnsFailed
from acme_manager.structure import lone_error

T = TypeVar("T")
R = TypeVar("R")


async def together(function: Callable[[T], Awaitable[R]], items: Sequence[T], *, at_once: int = 64) -> list[R]:
    """The results in the order of the items. The first DnsFailed ends the rest and is raised as itself."""
    results: dict[int, R] = {}
    failures: list[DnsFailed] = []
    limit = trio.CapacityLimiter(at_once)

    async def one(index: int, item: T) -> None:
        try:
            async with limit:
                results[index] = await function(item)
        except DnsFailed as error:
            failures.append(error)
            nursery.cancel_scope.cancel(reason="another of these has failed")

    with lone_error():
        async with trio.open_nursery() as nursery:
            for index, item in enumerate(items):
                nursery.start_soon(one, index, item)
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(items))]
