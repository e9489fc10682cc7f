"""News that gossip can't carry, being too long or too much: others are told that there is some, and fetch it."""

from __future__ import annotations

from typing import Protocol

import trio

_TIMES = 3  # the same is announced: packets get lost, and who has it all answers nothing
_LEAST, _MOST = 0.2, 1.0  # seconds between two announcements


class Announce(Protocol):
    """Tells some others what this copy of the map looks like."""

    def __call__(self, *, passed_on: bool) -> None:
        """`passed_on`: the news is not this node's own."""


class Announcements:
    """Makes them, the first at once. While news pours in they get rarer: each may cost others a sync. Has to `run`."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce
        self._left = 0
        self._own = self._fresh = False
        self._wanted = trio.Event()

    def soon(self, *, own: bool) -> None:
        """There is news. `own`: of this node, and nobody else tells of it."""
        self._left, self._fresh, self._own = _TIMES, True, self._own or own
        self._wanted.set()

    async def run(self) -> None:
        """Announce what is to be announced, for ever."""
        pause = _LEAST
        while True:
            await self._wanted.wait()
            own, self._fresh = self._own, False
            self._left -= 1
            if not self._left:
                self._wanted, self._own = trio.Event(), False
            self._announce(passed_on=not own)
            await trio.sleep(pause)
            pause = min(2 * pause, _MOST) if self._fresh else _LEAST
