"""Virtual time, and a network that does to packets whatever a network may."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

import attrs

Handler = Callable[[str, Any], None]


class Broken(AssertionError):
    """An invariant does not hold."""


class World:
    """One queue of events and one source of chance: a seed determines everything."""

    def __init__(self, seed: int, lines: list[str] | None = None) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.lines = lines
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._pushed = 0

    def at(self, when: float, call: Callable[..., None], *args: Any) -> None:
        self._pushed += 1
        heapq.heappush(self._queue, (when, self._pushed, call, args))

    def after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        self.at(self.now + delay, call, *args)

    def run(self, until: float) -> None:
        queue = self._queue
        while queue and queue[0][0] <= until:
            when, _, call, args = heapq.heappop(queue)
            self.now = max(self.now, when)
            self.steps += 1
            call(*args)
        self.now = until

    def note(self, who: str, what: str) -> None:
        if self.lines is not None:
            self.lines.append(f"{self.now:9.3f}  {who:8} {what}")


@attrs.define
class Network:
    """Directed links between names. What is cut or lost is gone; what is not may be late, doubled, or overtaken."""

    world: World
    handlers: dict[str, Handler] = attrs.field(factory=dict)
    cut: set[tuple[str, str]] = attrs.field(factory=set)
    loss: float = 0.01
    doubled: float = 0.01
    slowness: float = 0.002  # mean of what comes on top of the shortest delay, in seconds
    stray: float = 0.002  # how many packets come seconds late

    def send(self, source: str, to: str, message: Any) -> None:
        random = self.world.rng.random
        if (source, to) in self.cut or random() < self.loss:
            return
        copies = 2 if random() < self.doubled else 1
        for _ in range(copies):
            delay = 0.0005 + self.world.rng.expovariate(1 / self.slowness)
            if random() < self.stray:
                delay += 6 * random()
            self.world.after(delay, self._arrive, source, to, message)

    def _arrive(self, source: str, to: str, message: Any) -> None:
        self.handlers[to](source, message)

    def talk(self, one: str, other: str) -> bool:
        """Whether both directions work."""
        return (one, other) not in self.cut and (other, one) not in self.cut
