"""Who leads: votes with leases, and a fence in storage. The whole design is in docs/leadership.md.

A pure core. `now` is this process's monotonic time in seconds; every method that takes something in returns what is to
be done, in order. The driver performs it, calls `tick` at `deadline`, and asks `leads` before each single thing that
only a leader may do: a process that was paused for longer than its lease learns from `leads`, by arithmetic alone, that
it leads no more, before it has run any of its timers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from acme_manager.ring.ballots import Message, Release, Renew, RenewReply, VoteReply, VoteRequest
from acme_manager.ring.candidacy import Candidacy, Phase
from acme_manager.ring.effects import (
    BecameLeader,
    Effect,
    LeaderChanged,
    LostLeadership,
    ReadFence,
    Send,
    WriteFence,
    Written,
)
from acme_manager.ring.fence import Fence
from acme_manager.ring.leases import LeaseConfig
from acme_manager.ring.promises import Claim, Voter
from acme_manager.ring.tenure import Tenure, same_claim
from acme_manager.ring.turns import Turns
from acme_manager.ring.voters import Peer

_FAREWELLS = 10  # how often a leader that stops says so; the driver stops waiting as soon as another leads


class Leadership:
    """One node's part in it. `me` is a name that survives restarts: what the list of voters holds."""

    def __init__(self, config: LeaseConfig, me: str, rng: random.Random, now: float) -> None:
        self._config, self._me, self._rng = config, me, rng
        self._life = rng.getrandbits(63)
        self._voter = Voter(config, now)
        self._peers: dict[str, Peer] = {}
        self._fence: Fence | None = None  # the last record seen
        self._candidacy: Candidacy | None = None
        self._tenure: Tenure | None = None
        self._heard: Claim | None = None  # who leads, while our promise to it runs
        self._try_at = now
        self._turns = Turns(me, config, rng)
        self._forced = False
        self._farewell: list[tuple[float, Send]] | None = None  # not None: this node stops, and wants no term any more
        self._out: list[Effect] = []

    # --- what others ask

    def leads(self, now: float) -> int | None:
        """The term that this node leads at this moment, or None."""
        return self._tenure.claim.term if self._tenure is not None and now < self._tenure.until() else None

    def leader(self, now: float) -> str | None:
        """Who leads, as far as this node knows."""
        if self.leads(now) is not None:
            return self._me
        return self._heard.name if self._heard is not None and now < self._voter.bound_until else None

    @property
    def fence(self) -> Fence | None:
        """The fence record as this node last saw or wrote it; its voters are worth joining."""
        return self._tenure.fence if self._tenure is not None else self._fence

    def deadline(self) -> float:
        """When `tick` is due. Infinite while only the driver's answer or a message can change anything."""
        times = [when for when, _ in self._farewell or ()]
        if self._tenure is not None:
            times.append(self._tenure.deadline())
        elif self._candidacy is not None:
            times.append(self._candidacy.deadline())
        elif self._farewell is None:
            times.append(max(self._try_at, self._voter.bound_until))
        if self._heard is not None:
            times.append(self._voter.bound_until)
        return min(times, default=math.inf)

    # --- what happens

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        self._notice_time(now)
        if self._tenure is not None:
            self._lead(self._tenure, now)
        elif self._candidacy is not None:
            self._out += self._candidacy.repeat(now)
        elif self._farewell is None and now >= max(self._try_at, self._voter.bound_until):
            self._candidacy = Candidacy(me=self._me, life=self._life, config=self._config, forced=self._forced)
            self._out.append(ReadFence())
        while self._farewell and self._farewell[0][0] <= now:
            self._out.append(self._farewell.pop(0)[1])
        return self._take()

    def receive(self, name: str, message: Message, now: float) -> list[Effect]:
        """A message from the member of that name."""
        self._notice_time(now)
        match message:
            case VoteRequest():
                self._vote_asked(name, message, now)
            case VoteReply():
                self._vote_answered(name, message, now)
            case Renew():
                self._renewal_asked(name, message, now)
            case RenewReply():
                self._renewal_answered(name, message, now)
            case Release():
                self._released(name, message, now)
        return self._take()

    def fence_read(self, fence: Fence | None, version: int, now: float) -> list[Effect]:
        """What storage holds, whoever wanted to know; None where there is no record. Then ask `leads`."""
        self._notice_time(now)
        if fence is not None:
            self._voter.established = max(self._voter.established, fence.term)
        if self._tenure is not None:
            reason = self._tenure.seen(fence, version, now)
            if reason:
                self._lose(reason, now)
        if self._tenure is None:
            self._fence = fence or self._fence  # a record that vanished still says who votes about the next one
        if self._candidacy is not None and self._candidacy.phase is Phase.READING:
            self._begin(self._candidacy, version, now)
        return self._take()

    def fence_unreadable(self, now: float) -> list[Effect]:
        """Storage could not be read, or what it holds can't be understood."""
        self._notice_time(now)
        if self._tenure is not None:
            self._tenure.look_at = now + self._config.renew_every
        elif self._candidacy is not None and self._candidacy.phase is Phase.READING:
            self._abandon(now)
        return self._take()

    def fence_written(self, write: WriteFence, outcome: Written, now: float) -> list[Effect]:
        """How a write ended; `write` is the effect, with the time that the driver put into the record."""
        self._notice_time(now)
        candidacy = self._candidacy
        if self._tenure is not None:
            if self._tenure.written(write, outcome, now):
                self._out.append(ReadFence())
        elif candidacy is not None and candidacy.write is not None and _answers(write, candidacy.write):
            if outcome is Written.OK and now < candidacy.lease.until(candidacy.voters):
                self._begin_term(candidacy, write, now)
            else:
                self._abandon(now)
        return self._take()

    def members_changed(self, peers: Iterable[Peer], now: float) -> list[Effect]:
        """All members as membership sees them now, this node included."""
        self._notice_time(now)
        self._peers = {peer.name: peer for peer in peers}
        if self._tenure is not None:
            self._change_voters(self._tenure, now)
        return self._take()

    def forget(self, name: str, now: float) -> list[Effect]:
        """Take a voter that is gone off the list without waiting. Only the leader can; one that is here stays."""
        self._notice_time(now)
        if self._tenure is not None:
            self._tenure.forgotten.add(name)
            self._change_voters(self._tenure, now)
        return self._take()

    def resign(self, now: float) -> list[Effect]:
        """This node is going to stop: hand over if it leads, and want no term any more. It goes on voting.

        The driver may close as soon as it gets LeaderChanged with another's name, or after a bounded wait.
        """
        self._notice_time(now)
        self._farewell = []
        if self._tenure is not None:
            self._lose("handing over", now, self._tenure.successor(self._peers, now))
        elif self._candidacy is not None:
            self._abandon(now)
        return self._take()

    def force_new_cluster(self) -> None:
        """Make this node the only voter with its next term: for the day when a majority is gone for good."""
        self._forced = True

    # --- a voter's part

    def _vote_asked(self, name: str, asked: VoteRequest, now: float) -> None:
        claim = Claim(asked.term, name, asked.life)
        granted = self._voter.would_grant(claim, now) if asked.trial else self._voter.grant(claim, now)
        reply = VoteReply(asked.term, asked.life, asked.number, asked.trial, granted, self._voter.known)
        if granted and not asked.trial:
            self._make_way(now)
            self._try_at = self._voter.bound_until + self._delay()
        self._out.append(Send(name, reply))

    def _renewal_asked(self, name: str, asked: Renew, now: float) -> None:
        claim = Claim(asked.term, name, asked.life)
        granted = self._voter.renew(claim, now)
        if granted:
            self._make_way(now)
            self._turns.failures = 0
            self._try_at = self._voter.bound_until + self._delay()
            if self._farewell is not None:
                self._farewell = []
            if self._heard != claim:
                self._heard = claim
                self._out.append(LeaderChanged(name, claim.term))
        self._out.append(Send(name, RenewReply(asked.term, asked.life, asked.number, granted, self._voter.known)))

    def _make_way(self, now: float) -> None:
        """Another one leads or is about to."""
        if self._tenure is not None:
            self._lose("another node leads", now)
        if self._candidacy is not None:
            self._withdraw(self._candidacy, now)

    def _released(self, name: str, release: Release, now: float) -> None:
        claim = Claim(release.term, name, release.life)
        if not self._voter.release(claim, now):
            return
        self._forget_leader()
        first = release.successor == self._me
        self._try_at = now if first else now + self._delay() + (self._config.round if release.successor else 0)

    # --- a candidate's part

    def _begin(self, candidacy: Candidacy, version: int, now: float) -> None:
        candidacy.voters = (self._me,) if self._fence is None or self._forced else self._fence.voters
        candidacy.version = version
        if self._me not in candidacy.voters:
            self._candidacy = None
            self._try_at = now + self._config.look_every * (0.5 + self._rng.random())
        elif not candidacy.alone and not self._voter.would_grant(Claim(0, self._me, self._life), now):
            self._candidacy = None
            self._try_at = max(now, self._voter.free_from) + self._delay()
        elif candidacy.voters == (self._me,):
            self._vote(candidacy, now)
        else:
            self._out += candidacy.begin_trial(now)

    def _vote_answered(self, name: str, reply: VoteReply, now: float) -> None:
        candidacy = self._candidacy
        if candidacy is None or not candidacy.answered(name, reply):
            return
        if candidacy.phase is Phase.TRIAL:
            self._vote(candidacy, now)
        else:
            self._out.append(candidacy.begin_write())

    def _vote(self, candidacy: Candidacy, now: float) -> None:
        term = max(candidacy.known, self._voter.known) + 1
        sends = candidacy.begin_vote(term, self._voter, now)
        if sends is None:
            self._abandon(now)
        elif candidacy.has_majority():
            self._out.append(candidacy.begin_write())
        else:
            self._out += sends

    def _abandon(self, now: float) -> None:
        """The attempt has failed; try again a little later."""
        assert self._candidacy is not None
        self._withdraw(self._candidacy, now)
        self._turns.failures += 1
        self._try_at = now + self._delay()

    def _withdraw(self, candidacy: Candidacy, now: float) -> None:
        """End the attempt. Those who voted for it needn't keep their promise."""
        self._candidacy = None
        if candidacy.claim is not None:
            self._voter.release(candidacy.claim, now)
            release = Release(candidacy.claim.term, self._life, "")
            self._out += [Send(name, release) for name in candidacy.voters if name != self._me]

    def _delay(self) -> float:
        return self._turns.delay(self._fence.voters if self._fence is not None else (), self._peers)

    # --- a leader's part

    def _begin_term(self, candidacy: Candidacy, write: WriteFence, now: float) -> None:
        assert candidacy.claim is not None
        self._candidacy, self._forced, self._turns.failures = None, False, 0
        self._tenure = Tenure(
            claim=candidacy.claim,
            config=self._config,
            fence=write.fence,
            version=write.expected + 1,
            lease=candidacy.lease,
            began=now,
            look_at=now + self._config.look_every,
        )
        self._out += [BecameLeader(candidacy.claim.term, self._tenure.until())]
        self._out += [LeaderChanged(self._me, candidacy.claim.term)]
        self._lead(self._tenure, now)

    def _lead(self, tenure: Tenure, now: float) -> None:
        if now >= tenure.gives_up_at:
            self._lose("storage is away", now)
            return
        self._out += tenure.renewals(self._voter, self._peers, now)
        if now >= tenure.look_at:
            tenure.look_at = math.inf
            self._out.append(ReadFence())
        self._change_voters(tenure, now)

    def _renewal_answered(self, name: str, reply: RenewReply, now: float) -> None:
        tenure = self._tenure
        if tenure is None or (reply.life, reply.term) != (self._life, tenure.claim.term):
            return
        if reply.granted:
            tenure.lease.promised(name, reply.number)
            self._change_voters(tenure, now)
        elif reply.known > tenure.claim.term:
            tenure.look_at = min(tenure.look_at, now)

    def _change_voters(self, tenure: Tenure, now: float) -> None:
        write = tenure.change_voters(self._peers, now)
        if write is not None:
            self._out.append(write)

    def _lose(self, reason: str, now: float, successor: str = "") -> None:
        """The term is over: stop first, then tell the voters that they needn't keep their promises."""
        tenure, self._tenure = self._tenure, None
        assert tenure is not None
        self._fence = tenure.fence
        self._out += [LostLeadership(tenure.claim.term, reason), LeaderChanged(None, tenure.claim.term)]
        self._voter.release(tenure.claim, now)
        release = Release(tenure.claim.term, self._life, successor)
        sends = [Send(name, release) for name in tenure.everyone(self._peers)]
        self._out += sends
        if self._farewell is not None:
            again = self._config.repeat_every / 2
            self._farewell = [(now + n * again, send) for n in range(1, _FAREWELLS) for send in sends]
        self._try_at = now + self._config.round + self._delay()

    # --- time

    def _notice_time(self, now: float) -> None:
        """What has ended by the mere passing of time, before anything else is looked at."""
        if self._tenure is not None and now >= self._tenure.until():
            self._lose("the lease ran out", now)
        if self._candidacy is not None and self._candidacy.over(now):
            self._abandon(now)
        if self._heard is not None and now >= self._voter.bound_until:
            self._forget_leader()

    def _forget_leader(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            self._out.append(LeaderChanged(None, heard.term))

    def _take(self) -> list[Effect]:
        out, self._out = self._out, []
        return out


def _answers(write: WriteFence, asked: WriteFence) -> bool:
    return write.expected == asked.expected and same_claim(write.fence, asked.fence)
