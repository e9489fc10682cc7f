"""How long a member may stay under suspicion (Lifeguard, https://arxiv.org/abs/1707.00788, section IV.B).

It starts patient: one accuser may be the one who is ill. Each further accuser shortens the wait.
"""

from __future__ import annotations

import math

from acme_manager.ring.config import RingConfig


class Suspicion:
    """A suspicion of one member, since `now`, in a ring of `members` (with the dead that are still gossiped about)."""

    def __init__(self, config: RingConfig, *, members: int, accuser: str, now: float) -> None:
        self._since = now
        self._accusers = {accuser}
        wanted = config.suspicion_mult - 2
        self._wanted = wanted if members - 2 >= wanted else 0  # nobody could confirm
        logarithm = math.floor(1000 * max(1.0, math.log10(max(1, members)))) / 1000
        self._low = config.suspicion_mult * logarithm * config.probe_interval
        self._high = self._low * config.suspicion_max_mult

    @property
    def deadline(self) -> float:
        """When the member is to be taken for dead."""
        return self._since + wait(len(self._accusers) - 1, self._wanted, self._low, self._high)

    def confirm(self, accuser: str) -> bool:
        """Count one more accuser; false if it is known already or enough have spoken."""
        if accuser in self._accusers or len(self._accusers) > self._wanted:
            return False
        self._accusers.add(accuser)
        return True

    def restart(self, now: float) -> None:
        """Wait anew: this node could not have heard an objection."""
        self._since = now


def wait(confirmations: int, wanted: int, low: float, high: float) -> float:
    """Seconds from the first accusation to death: `high` alone, `low` when all the wanted confirmations are there."""
    if wanted < 1:
        return low
    if not confirmations:
        return high
    share = math.log(confirmations + 1) / math.log(wanted + 1)
    return max(low, math.floor(1000 * (high - share * (high - low))) / 1000)
