"""What clean-up would do, as a list for people."""

from __future__ import annotations

from collections import Counter as Tally

import attrs

from acme_manager.domain.cleanup import Action, Decision
from acme_manager.services.cleanup_survey import Secret


@attrs.frozen(kw_only=True)
class Line:
    """One thing that would be done, or is left undone for a reason worth knowing. Version 0 is the whole secret."""

    action: str
    secret: str
    version: int
    reason: str

    def __str__(self) -> str:
        version = f" version {self.version}" if self.version else ""
        return f"{self.action:8}{self.secret}{version}: {self.reason}"


@attrs.define
class Report:
    """Takes note of up to `limit` lines, and counts everything. Versions that are merely kept make no line."""

    limit: int
    lines: list[Line] = attrs.field(factory=list)
    totals: Tally[Action] = attrs.field(factory=lambda: Tally(dict.fromkeys(Action, 0)))

    @property
    def complete(self) -> bool:
        """Whether there is a line for everything."""
        return len(self.lines) == self.totals.total() - self.totals[Action.KEEP]

    async def found(self, secret: Secret, decisions: list[Decision]) -> None:
        """What `Survey.look` tells."""
        for decision in decisions:
            self.totals[decision.action] += 1
            if decision.action is not Action.KEEP and len(self.lines) < self.limit:
                self.lines.append(line_of(secret, decision))


def line_of(secret: Secret, decision: Decision) -> Line:
    """A decision about a secret as a line."""
    return Line(action=decision.action.value, secret=secret.key, version=decision.version, reason=decision.reason)
