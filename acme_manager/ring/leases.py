"""How long things last, and the arithmetic of a lease. Only durations are compared, never clocks of two machines."""

from __future__ import annotations

import math
from collections.abc import Collection

import attrs


def majority(voters: int) -> int:
    """How many of that many are more than half."""
    return voters // 2 + 1


@attrs.frozen(kw_only=True)
class LeaseConfig:
    """Durations in seconds; everything that is not given follows from `lease`."""

    lease: float = 3.0  # how long a voter keeps its promise, from the moment it *received* the request
    drift: float = 0.05  # how much faster or slower than real time any clock may run
    forget_after: float = 180.0  # how long a voter may be dead before it is taken off the list

    @property
    def held(self) -> float:
        """How long a holder trusts its lease, from the moment it *sent* the request.

        A voter with a fast clock lets go after lease / (1 + drift) of real time, and a holder with a slow clock must
        have given up by then. What is taken off besides is for the holder to notice: a late timer, a full run queue.
        """
        return self.lease * (1 - self.drift) / (1 + self.drift) - self.lease / 60

    @property
    def renew_every(self) -> float:
        """How often a leader asks for its lease to run on."""
        return self.lease / 3

    @property
    def repeat_every(self) -> float:
        """How soon a request is repeated to those who have not answered, as long as there is no majority."""
        return self.lease / 15

    @property
    def round(self) -> float:
        """How long a candidate waits for a majority."""
        return self.lease / 3

    @property
    def stagger(self) -> float:
        """How much longer each voter waits than the one before it in line, and the width of the jitter."""
        return self.lease / 10

    @property
    def look_every(self) -> float:
        """How often a leader, and a node that hears of none and can't vote, looks at the fence record."""
        return self.lease * 2

    @property
    def storage_patience(self) -> float:
        """How long a leader without storage remains one."""
        return self.lease * 5


class Lease:
    """Promises of voters to one holder, each counted from when the holder asked for it."""

    def __init__(self, config: LeaseConfig) -> None:
        self._config = config
        self._number = 0
        self._asked: dict[int, float] = {}  # when, by the number of the request; what is too old to help is dropped
        self._promised: dict[str, float] = {}

    def ask(self, now: float) -> int:
        """Note that a request is sent now; its answers carry the number returned."""
        self._asked = {number: at for number, at in self._asked.items() if now < at + self._config.held}
        self._number += 1
        self._asked[self._number] = now
        return self._number

    def promised(self, voter: str, number: int) -> None:
        """A voter has said yes to a request. A number that was never given out counts for nothing."""
        asked = self._asked.get(number, -math.inf)
        self._promised[voter] = max(asked, self._promised.get(voter, -math.inf))

    def since(self, voter: str) -> float:
        """When the request was sent that the voter's last promise answers."""
        return self._promised.get(voter, -math.inf)

    def fresh(self, voter: str, now: float) -> bool:
        """Whether the voter's promise still runs."""
        return now < self.since(voter) + self._config.held

    def until(self, voters: Collection[str]) -> float:
        """When the promises of a majority of these voters will no longer all run."""
        since = sorted((self._promised.get(voter, -math.inf) for voter in voters), reverse=True)
        return since[majority(len(since)) - 1] + self._config.held
