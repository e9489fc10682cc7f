from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from acme_manager.errors import StorageUnavailable
from acme_manager.storage.walk import walk


async def test_a_wide_tree_is_read_a_few_folders_at_a_time() -> None:
    reading, most = 0, 0

    async def names_in(folder: str) -> Sequence[str]:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await trio.lowlevel.checkpoint()
        reading -= 1
        return ["leaf"] if folder.count("/") else [f"f{n}/" for n in range(20)]

    assert await walk(names_in, "top") == sorted(f"top/f{n}/leaf" for n in range(20))
    assert most == 3


async def test_folders_that_fail_together_fail_as_one() -> None:
    async def names_in(folder: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        if "/" in folder:
            raise StorageUnavailable(folder)
        return ["a/", "b/", "c/"]

    with pytest.raises(StorageUnavailable, match="top/"):
        await walk(names_in, "top")
