"""What works and what does not: the answer of `/ready`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

Check = Callable[[], Awaitable[str | None]]
"""None when the part works, else what is wrong with it in plain words."""


class Health:
    """Asks every part that this node needs."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    async def report(self) -> Mapping[str, str | None]:
        """Each part's name, with None or what is wrong."""
        return {part: await check() for part, check in self._checks.items()}
