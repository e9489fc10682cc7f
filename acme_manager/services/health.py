"""What works and what does not: the answer of `/ready`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

Check = Callable[[], Awaitable[str | None]]
"""None when the part works, else what is wrong with it in plain words."""


class Health:
    """Asks the parts that this node can't serve without, and tells what is known about those that it can."""

    def __init__(self, checks: Mapping[str, Check], others: Callable[[], Mapping[str, str | None]] = dict) -> None:
        self._checks, self._others = checks, others

    async def report(self) -> Mapping[str, str | None]:
        """Each needed part's name, with None or what is wrong."""
        return {part: await check() for part, check in self._checks.items()}

    def others(self) -> Mapping[str, str | None]:
        """The same of parts without which the node still serves: an issuer that is away."""
        return self._others()
