"""A small memory with a limit in time and in size."""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

V = TypeVar("V")


class Memo(Generic[V]):
    """What was found out lately, by name. Entries live `seconds`; of more than `size`, the oldest go first."""

    def __init__(self, seconds: float, size: int) -> None:
        self._seconds, self._size = seconds, size
        self._entries: dict[str, tuple[float, V]] = {}

    def get(self, key: str) -> V | None:
        """What is remembered, or None."""
        entry = self._entries.get(key)
        return entry[1] if entry and trio.current_time() < entry[0] else None

    def put(self, key: str, value: V) -> None:
        """Remember something anew."""
        self._entries.pop(key, None)
        while len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (trio.current_time() + self._seconds, value)

    def forget(self, key: str) -> None:
        """Drop an entry that turned out wrong."""
        self._entries.pop(key, None)
