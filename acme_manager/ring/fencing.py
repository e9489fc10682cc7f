"""The fence record where it is kept: in storage, or in memory for a cluster that is simulated."""

from __future__ import annotations

from typing import Protocol

import trio

from acme_manager.errors import StaleVersion, StorageUnavailable
from acme_manager.ports import Storage
from acme_manager.ring.effects import Written
from acme_manager.ring.fence import Fence, fence_from_json, fence_to_json


class FenceStorage(Protocol):
    """The one record that all nodes compete for. Time limits belong to the caller."""

    async def read(self) -> tuple[Fence | None, int]:
        """The record and its version. Raises Unavailable, or ValueError for a record that can't be understood."""
        ...

    async def write(self, fence: Fence, expected: int) -> Written:
        """Replace the record if its version is the expected one. Raises Unavailable when that is not known."""
        ...


class StoredFence:
    """The record as one key of the Storage port."""

    def __init__(self, storage: Storage, key: str) -> None:
        self._storage, self._key = storage, key

    async def read(self) -> tuple[Fence | None, int]:
        """See FenceStorage."""
        found = await self._storage.get(self._key)
        return (None if found.value is None else fence_from_json(found.value)), found.version

    async def write(self, fence: Fence, expected: int) -> Written:
        """See FenceStorage."""
        try:
            await self._storage.put(self._key, fence_to_json(fence), expected=expected)
        except StaleVersion:
            return Written.STALE
        return Written.OK


class MemoryFence:
    """The record in memory, shared by the nodes of one process. `away` makes it unavailable; `delay` is in seconds."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay, self.away = delay, False
        self.fence: Fence | None = None
        self.version = 0
        self.history: list[Fence] = []

    async def read(self) -> tuple[Fence | None, int]:
        """See FenceStorage."""
        await self._pass()
        return self.fence, self.version

    async def write(self, fence: Fence, expected: int) -> Written:
        """See FenceStorage."""
        await self._pass()
        if expected != self.version:
            return Written.STALE
        self.fence, self.version = fence, self.version + 1
        self.history.append(fence)
        return Written.OK

    async def _pass(self) -> None:
        await trio.sleep(self.delay)
        if self.away:
            raise StorageUnavailable("the fence record is out of reach")
