"""Listing a tree of keys, when the store lists one folder at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from acme_manager.errors import AcmeManagerError

_AT_ONCE = 3  # leaves a thread for everybody else


async def walk(names_in: Callable[[str], Awaitable[Sequence[str]]], folder: str) -> list[str]:
    """Every key below a folder, sorted.

    `names_in` gives the names in one folder, those of folders with a slash at the end. A name may be both.
    """
    found: list[str] = []
    failed: list[AcmeManagerError] = []
    folders = [folder]

    async def read(one: str) -> None:
        try:
            names = await names_in(one)
        except AcmeManagerError as error:
            failed.append(error)
            return
        for name in names:
            if name.endswith("/"):
                folders.append(one + "/" + name.removesuffix("/"))
            else:
                found.append(one + "/" + name)

    while folders and not failed:
        batch = [folders.pop() for _ in range(min(_AT_ONCE, len(folders)))]
        async with trio.open_nursery() as nursery:
            for one in batch:
                nursery.start_soon(read, one)
    if failed:  # those read at the same time fail alike; one of them says enough
        raise failed[0]
    return sorted(found)
