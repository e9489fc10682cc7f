"""The time of one leader: it renews its lease, watches the fence record, and keeps the list of voters right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs

from acme_manager.ring.ballots import Renew
from acme_manager.ring.effects import Send, WriteFence, Written
from acme_manager.ring.fence import Fence
from acme_manager.ring.leases import Lease, LeaseConfig
from acme_manager.ring.promises import Claim, Voter
from acme_manager.ring.voters import Peer, Roll, in_line


@attrs.define(kw_only=True)
class Tenure:
    """A term that this node leads.

    While a change of the list of voters is on its way, storage may hold the old list or the new one. The lease counts
    only as long as it runs over both.
    """

    claim: Claim
    config: LeaseConfig
    fence: Fence
    version: int  # of the record that holds `fence`
    lease: Lease
    began: float
    pending: WriteFence | None = None
    forgotten: set[str] = attrs.field(factory=set)
    look_at: float = 0.0
    _storage_seen: float = attrs.field(default=attrs.Factory(lambda self: self.began, takes_self=True))
    _wrote: float = attrs.field(default=attrs.Factory(lambda self: self.began, takes_self=True))
    _write_at: float = math.inf
    _round_at: float = -math.inf
    _repeat_at: float = -math.inf

    def until(self) -> float:
        """When the lease ends."""
        runs = self.lease.until(self.fence.voters)
        return runs if self.pending is None else min(runs, self.lease.until(self.pending.fence.voters))

    def deadline(self) -> float:
        """When something is to be done without having been asked."""
        renew = min(self._round_at + self.config.renew_every, self._repeat_at)
        return min(self.until(), renew, self.look_at, self._write_at, self.gives_up_at)

    @property
    def gives_up_at(self) -> float:
        """When a leader that can't reach storage makes room for another."""
        return self._storage_seen + self.config.storage_patience

    # --- the lease

    def renewals(self, voter: Voter, peers: Mapping[str, Peer], now: float) -> list[Send]:
        """Ask for the lease to run on, all who are here; and again those who have not answered."""
        others = self.everyone(peers)
        if now >= self._round_at + self.config.renew_every:
            self._round_at = now
        elif now >= self._repeat_at:
            others = self._silent(others, peers)
        else:
            return []
        self._repeat_at = now + self.config.repeat_every if others else math.inf
        number = self.lease.ask(now)
        if voter.renew(self.claim, now):
            self.lease.promised(self.claim.name, number)
        return [Send(name, Renew(self.claim.term, self.claim.life, number)) for name in others]

    def everyone(self, peers: Mapping[str, Peer]) -> list[str]:
        """All others who should know about this term."""
        present = (name for name, peer in peers.items() if peer.present)
        return sorted({*self.fence.voters, *present} - {self.claim.name})

    def successor(self, peers: Mapping[str, Peer], now: float) -> str:
        """Who should lead next; empty when nobody seems able to."""
        others = (peers[name] for name in self.fence.voters if name in peers and name != self.claim.name)
        return next((name for name in in_line(others) if self.lease.fresh(name, now)), "")

    def _silent(self, names: Iterable[str], peers: Mapping[str, Peer]) -> list[str]:
        """Who has not answered in this round; of those who are gone, only as long as their answer could matter."""
        enough = self.until() >= self._round_at + self.config.held
        silent = [name for name in names if self.lease.since(name) < self._round_at]
        return [name for name in silent if not enough or (name in peers and peers[name].present)]

    # --- the record

    def change_voters(self, peers: Mapping[str, Peer], now: float) -> WriteFence | None:
        """Start the next change of the list, or repeat one whose outcome is not known."""
        if self.pending is not None:
            if now < self._write_at:
                return None
            self._write_at = math.inf
            return self.pending
        roll = Roll(
            me=self.claim.name,
            voters=self.fence.voters,
            peers=peers,
            lease=self.lease,
            leading_since=self.began,
            forgotten=self.forgotten,
        )
        voters = roll.next_change(self.config, now)
        if voters is None:
            return None
        self.pending = WriteFence(attrs.evolve(self.fence, voters=voters), self.version)
        return self.pending

    def written(self, write: WriteFence, outcome: Written, now: float) -> bool:
        """Take note of how a write ended. True when the record must be read to know."""
        pending = self.pending
        if pending is None or write.expected != self.version or not same_claim(write.fence, pending.fence):
            return False
        if outcome is Written.OK:
            self._adopt(write.fence, now)
        elif outcome is Written.UNKNOWN:
            self._write_at = now + self.config.renew_every
        return outcome is Written.STALE

    def seen(self, fence: Fence | None, version: int, now: float) -> str:
        """Take note of what the record says. Not empty: the reason why this term is over."""
        self._storage_seen, self.look_at = now, now + self.config.look_every
        if fence is None:
            return "the fence record is gone"
        if fence.term > self.claim.term:
            return f"term {fence.term} of {fence.holder} has begun"
        if version <= self.version:
            return ""  # also what was on its way while we wrote
        pending = self.pending
        if (
            pending is None
            or version != self.version + 1
            or (fence.holder, fence.term, fence.voters)
            != (
                pending.fence.holder,
                pending.fence.term,
                pending.fence.voters,
            )
        ):
            return "somebody else has written the fence record"
        self._adopt(fence, now)
        return ""

    def _adopt(self, fence: Fence, now: float) -> None:
        self.fence, self.version, self.pending, self._write_at = fence, self.version + 1, None, math.inf
        self.forgotten &= set(fence.voters)
        self._storage_seen = self._wrote = now


def same_claim(one: Fence, other: Fence) -> bool:
    """Whether two records say the same, whatever they say about when."""
    return attrs.evolve(one, since="") == attrs.evolve(other, since="")
