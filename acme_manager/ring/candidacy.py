"""One attempt to become leader: read the fence record, ask whether asking has a prospect, ask, write the record.

A node that can't read storage asks nobody, and a trial binds nobody: so neither disturbs a leader who is well.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable

import attrs

from acme_manager.ring.ballots import Message, VoteReply, VoteRequest
from acme_manager.ring.effects import Send, WriteFence
from acme_manager.ring.fence import Fence
from acme_manager.ring.leases import Lease, LeaseConfig, majority
from acme_manager.ring.promises import Claim, Voter


class Phase(enum.Enum):
    """How far an attempt has come."""

    READING = enum.auto()
    TRIAL = enum.auto()
    VOTING = enum.auto()
    WRITING = enum.auto()


@attrs.define(kw_only=True)
class Candidacy:
    """An attempt. `voters` and `version` are those of the record that was read and is going to be replaced."""

    me: str
    life: int
    config: LeaseConfig
    phase: Phase = Phase.READING
    voters: tuple[str, ...] = ()
    version: int = 0
    forced: bool = False
    known: int = 0  # the highest term that anyone has told us of
    claim: Claim | None = None  # since VOTING
    write: WriteFence | None = None  # since WRITING
    _lease: Lease = attrs.field(init=False, default=attrs.Factory(lambda self: Lease(self.config), takes_self=True))
    _number: int = 0
    _ends: float = math.inf
    _repeat_at: float = math.inf

    @property
    def alone(self) -> bool:
        """Whether the record has this node as the only voter, or there is none and this node founds the ring."""
        return self.voters == (self.me,) and not self.forced

    @property
    def lease(self) -> Lease:
        """The promises made to this claim."""
        return self._lease

    def deadline(self) -> float:
        """When something is to be done without having been asked. READING and WRITING are bounded by the driver."""
        return min(self._ends, self._repeat_at)

    def over(self, now: float) -> bool:
        """Whether time is up: for an answer from a majority, or for the use of what they promised."""
        return now >= self._ends

    def begin_trial(self, now: float) -> list[Send]:
        """Ask what voters would say."""
        self._enter(Phase.TRIAL, now)
        self._lease.promised(self.me, self._number)
        return self._ask(now, self._others())

    def begin_vote(self, term: int, voter: Voter, now: float) -> list[Send] | None:
        """Ask for a term, this node's own voter first. None: that one can't, so there is no point in asking others."""
        claim = Claim(term, self.me, self.life)
        if not voter.grant(claim, now, alone=self.alone):
            return None
        self.claim, self._lease = claim, Lease(self.config)
        self._enter(Phase.VOTING, now)
        self._lease.promised(self.me, self._number)
        return self._ask(now, self._others())

    def repeat(self, now: float) -> list[Send]:
        """Ask those again who have not said yes, when it is time to."""
        if now < self._repeat_at:
            return []
        return self._ask(now, [name for name in self._others() if self._lease.since(name) == -math.inf])

    def answered(self, name: str, reply: VoteReply) -> bool:
        """Count a vote. True when it makes a majority of what was asked for."""
        self.known = max(self.known, reply.known)
        asked = Phase.TRIAL if reply.trial else Phase.VOTING
        if self.phase is not asked or reply.life != self.life or not reply.granted:
            return False
        if self.claim is not None and reply.term != self.claim.term:
            return False
        self._lease.promised(name, reply.number)
        return self.has_majority()

    def has_majority(self) -> bool:
        """Whether a majority of the voters has said yes."""
        yes = sum(1 for name in self.voters if self._lease.since(name) > -math.inf)
        return yes >= majority(len(self.voters))

    def begin_write(self) -> WriteFence:
        """Make the vote durable. The claim is worth as much as its lease until then, and is not prolonged."""
        assert self.claim is not None
        self.phase, self._repeat_at = Phase.WRITING, math.inf
        self._ends = self._lease.until(self.voters)
        fence = Fence(term=self.claim.term, holder=self.me, voters=self.voters)
        self.write = WriteFence(fence, self.version)
        return self.write

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase = phase
        self._ends = now + self.config.round
        self._number = self._lease.ask(now)

    def _ask(self, now: float, names: Iterable[str]) -> list[Send]:
        self._repeat_at = now + self.config.repeat_every
        return [Send(name, self._request()) for name in names]

    def _request(self) -> Message:
        term = self.claim.term if self.claim else self.known
        return VoteRequest(term, self.life, self._number, self.phase is Phase.TRIAL)

    def _others(self) -> list[str]:
        return [name for name in self.voters if name != self.me]
