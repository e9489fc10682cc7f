"""What a pure core has to do later: one action per key, in order of time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable

Action = Callable[[float], None]


class Timers:
    """A heap of actions. Setting a key again moves it; what was moved or cancelled is skipped when it comes up."""

    def __init__(self) -> None:
        self._order = itertools.count()
        self._live: dict[Hashable, tuple[float, int, Action]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []

    def set(self, key: Hashable, when: float, action: Action) -> None:
        """Do `action(now)` once, at `when` or later."""
        order = next(self._order)
        self._live[key] = (when, order, action)
        heapq.heappush(self._heap, (when, order, key))
        if len(self._heap) > 64 + 2 * len(self._live):
            self._rebuild()

    def cancel(self, key: Hashable) -> None:
        """Forget about a key, if it is there."""
        self._live.pop(key, None)

    def when(self, key: Hashable) -> float | None:
        """When this key is due, or None."""
        timer = self._live.get(key)
        return timer[0] if timer else None

    def deadline(self) -> float:
        """When the next action is due; infinity if there is none."""
        while self._heap:
            when, order, key = self._heap[0]
            timer = self._live.get(key)
            if timer is not None and timer[1] == order:
                return when
            heapq.heappop(self._heap)
        return float("inf")

    def run(self, now: float) -> None:
        """Do what is due. What an action sets for `now` or earlier waits for the next call."""
        due = []
        while self.deadline() <= now:
            due.append(heapq.heappop(self._heap))
        for _, order, key in due:
            timer = self._live.get(key)
            if timer is not None and timer[1] == order:  # an earlier action may have cancelled or moved it
                del self._live[key]
                timer[2](now)

    def forgive(self, now: float, until: float) -> None:
        """Move all that is overdue, in its order."""
        for key, (when, _, action) in sorted(self._live.items(), key=lambda item: item[1][:2]):
            if when <= now:
                self.set(key, until, action)

    def _rebuild(self) -> None:
        self._heap = [(when, order, key) for key, (when, order, _) in self._live.items()]
        heapq.heapify(self._heap)
