"""A provider in memory whose failures and delays a test chooses."""

from __future__ import annotations

import attrs
import trio

from acme_manager.dns.propagation import Timing
from acme_manager.errors import DnsFailed


@attrs.define
class MemoryProvider:
    records: set[tuple[str, str]] = attrs.field(factory=set)
    calls: list[tuple[str, str, str]] = attrs.field(factory=list)
    delay: float = 0.0
    failing: set[tuple[str, str]] = attrs.field(factory=set)  # (action, value)
    broken: bool = False
    busy: int = 0
    busiest: int = 0

    @property
    def timing(self) -> Timing:
        return Timing(timeout=5.0, interval=1.0)

    async def put_txt(self, name: str, value: str) -> None:
        await self._work("put", name, value)
        self.records.add((name, value))

    async def remove_txt(self, name: str, value: str) -> None:
        await self._work("remove", name, value)
        self.records.discard((name, value))

    async def _work(self, action: str, name: str, value: str) -> None:
        self.calls.append((action, name, value))
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            await trio.sleep(self.delay)
        finally:
            self.busy -= 1
        if self.broken:
            raise RuntimeError("a defect")
        if (action, value) in self.failing:
            raise DnsFailed(f"can't {action} {value}", server="fake")
