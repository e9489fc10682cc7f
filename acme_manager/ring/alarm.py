"""An alarm clock for a core that says itself when it wants to be called next."""

from __future__ import annotations

from collections.abc import Callable

import trio


class Alarm:
    """Calls `tick` at `deadline()`, which may change at any time: then call `moved`."""

    def __init__(self, deadline: Callable[[], float], tick: Callable[[], None]) -> None:
        self._deadline, self._tick = deadline, tick
        self._sleep = trio.CancelScope()

    async def run(self) -> None:
        """Tick for ever. A tick that raises ends it."""
        while True:
            self._sleep = trio.CancelScope(deadline=self._deadline())
            with self._sleep:
                await trio.sleep_forever()
            await trio.lowlevel.checkpoint()  # a core that is always due must not stop everybody else
            self._tick()

    def moved(self) -> None:
        """Look at the deadline again, after anything that was done to the core."""
        self._sleep.deadline = self._deadline()
