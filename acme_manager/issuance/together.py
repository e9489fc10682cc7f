"""Several requests at once, with one error at most."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from acme_manager.errors import AcmeManagerError
from acme_manager.structure import lone_error

T = TypeVar("T")
R = TypeVar("R")


async def together(function: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    """Apply a function to all items at once; results are in the items' order.

    The first AcmeManagerError cancels the others and is raised as itself, never in a group.
    """
    results: dict[int, R] = {}
    errors: list[AcmeManagerError] = []
    with lone_error():
        async with trio.open_nursery() as nursery:

            async def one(index: int, item: T) -> None:
                try:
                    results[index] = await function(item)
                except AcmeManagerError as error:
                    errors.append(error)
                    nursery.cancel_scope.cancel(reason="one of several requests has failed")

            for index, item in enumerate(items):
                nursery.start_soon(one, index, item)
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(items))]
