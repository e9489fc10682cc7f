"""A voter's side of leadership: at any time it is bound to one holder at most.

That alone makes leases exclusive: two majorities of one list of voters have a member in common.
"""

from __future__ import annotations

import attrs

from acme_manager.ring.leases import LeaseConfig


@attrs.frozen
class Claim:
    """Who wants to lead, and in which term. `life` tells two processes of one name apart."""

    term: int
    name: str
    life: int


class Voter:
    """Grants and keeps promises. It has no memory beyond its process, so it is careful for one lease after a start."""

    def __init__(self, config: LeaseConfig, now: float) -> None:
        self._lease = config.lease
        self.free_from = now + config.lease  # an earlier life may have promised something that runs until then
        self.established = 0  # the highest term known to have had a leader
        self._voted = 0  # the highest term granted to anyone
        self._released: Claim | None = None  # the last that its holder has given up: a late renewal is none
        self._claim: Claim | None = None
        self._until = 0.0

    @property
    def known(self) -> int:
        """The highest term that is taken."""
        return max(self.established, self._voted)

    def bound_to(self, now: float) -> Claim | None:
        """Whose promise runs."""
        return self._claim if now < self._until else None

    @property
    def bound_until(self) -> float:
        """When the last promise ends or has ended."""
        return self._until

    def would_grant(self, claim: Claim, now: float) -> bool:
        """Whether asking for a vote has a prospect, whatever the term."""
        bound = self.bound_to(now)
        return now >= self.free_from and (bound is None or (bound.name, bound.life) == (claim.name, claim.life))

    def grant(self, claim: Claim, now: float, *, alone: bool = False) -> bool:
        """Vote: once per term, no term that is taken, not while another promise runs, not soon after a start.

        `alone`: this node is the only voter there is and asks itself. An earlier life of it can have promised nothing
        to others that matters, so there is nothing to wait for.
        """
        if claim == self.bound_to(now):
            return self._bind(claim, now)  # the request came twice
        if claim.term <= self.known or self.bound_to(now) is not None or (now < self.free_from and not alone):
            return False
        self._voted = claim.term
        return self._bind(claim, now)

    def renew(self, claim: Claim, now: float) -> bool:
        """Let a leader's lease run on: also one we did not vote for, and also right after a start.

        Who asks has led at the time. So the lease of any lower term had ended before, and our promise for it is void.
        """
        bound = self.bound_to(now)
        if claim.term < self.established or claim == self._released:
            return False
        if bound is not None and bound != claim and bound.term >= claim.term:
            return False
        self.established = claim.term
        return self._bind(claim, now)

    def release(self, claim: Claim, now: float) -> bool:
        """The holder has given the term up. True when our promise was for it."""
        mine = self.bound_to(now) == claim
        if mine:
            self._claim, self._until = None, 0.0
        self._released = claim
        return mine

    def _bind(self, claim: Claim, now: float) -> bool:
        self._claim, self._until = claim, now + self._lease
        return True
