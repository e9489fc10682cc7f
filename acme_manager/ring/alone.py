"""A cluster of one without any network: what tests, benchmarks and tools use where a node would have the ring."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from acme_manager.errors import NotFound, NotLeader, Unavailable

Watcher = tuple[str, Callable[[str, bytes | None], None]]


class Alone:
    """SharedMap and Cluster of a node that always leads, or of one that never does (`leading = False`)."""

    def __init__(self, name: str = "alone") -> None:
        self.name = name
        self.leading = True
        self._entries: dict[str, bytes] = {}
        self._watchers: list[Watcher] = []
        self._writes = 0

    def get(self, key: str) -> bytes | None:
        """See ports.SharedMap."""
        return self._entries.get(key)

    def items(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        """See ports.SharedMap."""
        return [(key, value) for key, value in self._entries.items() if key.startswith(prefix)]

    def put(self, key: str, value: bytes) -> None:
        """See ports.SharedMap."""
        self._write(key, value)

    def remove(self, key: str) -> None:
        """See ports.SharedMap."""
        self._write(key, None)

    @contextmanager
    def watch(self, prefix: str, changed: Callable[[str, bytes | None], None]) -> Iterator[None]:
        """See ports.SharedMap."""
        watcher = (prefix, changed)
        self._watchers.append(watcher)
        for key, value in self.items(prefix):
            changed(key, value)
        try:
            yield
        finally:
            self._watchers.remove(watcher)

    def _write(self, key: str, value: bytes | None) -> None:
        if not self.leading:
            raise self.why_not()
        self._set(key, value)

    def _set(self, key: str, value: bytes | None) -> None:
        self._writes += 1
        if value is None:
            self._entries.pop(key, None)
        else:
            self._entries[key] = value
        for prefix, changed in tuple(self._watchers):
            if key.startswith(prefix):
                changed(key, value)

    def leads(self) -> bool:
        """See ports.Cluster."""
        return self.leading

    async def confirm(self) -> None:
        """See ports.Cluster."""
        if not self.leading:
            raise self.why_not()

    def leader(self) -> str | None:
        """See ports.Cluster."""
        return self.name if self.leading else None

    def leader_url(self) -> str | None:
        """See ports.Cluster."""
        return None

    def why_not(self) -> Unavailable:
        """See ports.Cluster."""
        return NotLeader("no node leads")

    def stamp(self) -> str:
        """See ports.Cluster."""
        return f"1.{self._writes}"

    async def wait_for(self, stamp: str) -> None:
        """See ports.Cluster."""

    def members(self) -> Sequence[Mapping[str, Any]]:
        """See ports.Cluster."""
        return [{"name": self.name, "state": "ACTIVE"}]

    def statistics(self) -> Mapping[str, Any]:
        """See ports.Cluster."""
        return {"entries": len(self._entries), "writes": self._writes}

    def put_fact(self, name: str, value: bytes) -> None:
        """See ports.Cluster."""
        self._set(f"member/{self.name}/{name}", value)

    def forget(self, name: str) -> None:
        """See ports.Cluster."""
        raise NotFound(f"there is no member '{name}' to forget")
