"""What works and what does not: the answer of `/ready`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

_PATIENCE = 3.0  # seconds for a part that others are shown beside

Findings = Mapping[str, str | None]
Check = Callable[[], Awaitable[str | None]]
"""None when the part works, else what is wrong with it in plain words."""


class Health:
    """Asks the parts that this node can't serve without, and those that it serves less without.

    A node whose store is away, or that no leader stands behind, still answers reads: it is not to be taken out of a
    load balancer for that.
    """

    def __init__(self, needed: Mapping[str, Check], others: Sequence[Callable[[], Awaitable[Findings]]] = ()) -> None:
        self._needed, self._others = needed, others
        self.latest: Findings = {}
        """What `look` found last; nothing before it has. For pages: they don't wait for a store that is away."""

    async def look(self) -> bool:
        """Ask all parts and keep what they say. Returns whether that is not what they said before."""
        found = {**await self.report(), **await self.others()}
        changed, self.latest = found != self.latest, found
        return changed

    async def report(self) -> Findings:
        """Each needed part's name, with None or what is wrong."""
        return {part: await check() for part, check in self._needed.items()}

    async def others(self) -> Findings:
        """The same of parts without which the node still serves."""
        return {part: wrong for findings in self._others for part, wrong in (await findings()).items()}


async def in_time(check: Check) -> str | None:
    """What a check finds, or that it takes too long: a part that never answers must not hide the others."""
    with trio.move_on_after(_PATIENCE):
        return await check()
    return f"it does not answer within {_PATIENCE:g} s"
