from __future__ import annotations

from datetime import UTC, datetime

import pytest

from acme_manager.errors import StorageUnavailable
from acme_manager.ports import Versioned
from acme_manager.storage.memory import MemoryStorage


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 2, tzinfo=UTC)


async def test_planted_errors_come_in_order_and_change_nothing() -> None:
    storage = MemoryStorage(FixedClock())
    storage.fail_next += [StorageUnavailable("first"), StorageUnavailable("second")]
    with pytest.raises(StorageUnavailable, match="first"):
        await storage.put("a/b", {}, expected=0)
    with pytest.raises(StorageUnavailable, match="second"):
        await storage.list("a")
    assert await storage.get("a/b") == Versioned(None, 0)


async def test_while_down_every_call_fails() -> None:
    storage = MemoryStorage(FixedClock())
    storage.down = StorageUnavailable("down")
    for attempt in (storage.get("a"), storage.list("a"), storage.purge("a"), storage.versions("a")):
        with pytest.raises(StorageUnavailable, match="down"):
            await attempt
    storage.down = None
    assert await storage.put("a", {}, expected=0) == 1


async def test_versions_are_stamped_by_the_clock() -> None:
    storage = MemoryStorage(FixedClock())
    await storage.put("a", {}, expected=0)
    assert [one.created for one in await storage.versions("a")] == [datetime(2026, 1, 2, tzinfo=UTC)]
