"""Listing a tree of keys, when the store lists one folder at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from acme_manager.structure import together

_AT_ONCE = 3  # leaves a thread for everybody else


async def walk(names_in: Callable[[str], Awaitable[Sequence[str]]], folder: str, skip: str = "") -> list[str]:
    """Every key below a folder, sorted, save those below the folder `skip`.

    `names_in` gives the names in one folder, those of folders with a slash at the end. A name may be both.
    """
    found: list[str] = []
    folders = [folder]

    async def read(one: str) -> None:
        for name in await names_in(one):
            if name.endswith("/"):
                below = one + "/" + name.removesuffix("/")
                if below != skip:
                    folders.append(below)
            else:
                found.append(one + "/" + name)

    while folders:
        batch, folders = folders, []
        await together(read, batch, at_once=_AT_ONCE)
    return sorted(found)
