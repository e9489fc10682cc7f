"""Who is in the ring: memberlist's SWIM with Lifeguard, as a pure core.

It opens no socket and reads no clock. Whoever drives it (node.py) hands in messages and the time, carries out the
effects that come back, calls `tick` when `deadline` has come, and asks for `deadline` again after every call.
Times are monotonic seconds. Nothing that comes from the network makes it raise; the one error is Incompatible.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import attrs

from acme_manager.ring.claims import Claims, mismatch
from acme_manager.ring.common import Common, Counts
from acme_manager.ring.config import RingConfig
from acme_manager.ring.gossip import Gossip
from acme_manager.ring.messages import (
    Ack,
    Alive,
    Dead,
    IndirectPing,
    Message,
    Nack,
    Ping,
    PushNode,
    Suspect,
    Unreadable,
    User,
    encode,
)
from acme_manager.ring.probes import Prober
from acme_manager.ring.roster import Census
from acme_manager.ring.types import Address, Delivered, Effect, Member, Status
from acme_manager.ring.visits import Visits


class Incompatible(Exception):
    """Nobody in a peer's state speaks what we speak; the text says why and what to do."""


@attrs.frozen(kw_only=True)
class Statistics:
    """What there is to count. `queued_*` are messages that wait to be gossiped, and their bytes."""

    members: Census
    health_score: int
    queued: int
    queued_bytes: int
    dropped: int
    counts: Counts


class Membership:
    """The members of the ring as one node sees them, and its part in watching over them."""

    def __init__(
        self, config: RingConfig, name: str, address: Address, meta: bytes, rng: random.Random, now: float
    ) -> None:
        own = Member(name=name, address=address, meta=meta, vsn=config.vsn, incarnation=1, since=now)
        self._now = now
        self._common = Common(config, own, rng)
        self._claims = Claims(self._common)
        self._prober = Prober(self._common, self._claims.suspect, now)
        self._gossip = Gossip(self._common)
        self._visits = Visits(self._common, now)
        self._claims.announce()

    # --- what happens ---

    def receive(self, message: Message, source: Address, now: float) -> list[Effect]:
        """A message of a packet from `source`."""
        match message:
            case Ping():
                self._prober.ping(message, source)
            case Ack():
                self._prober.ack(message)
            case Nack():
                self._prober.nack(message)
            case IndirectPing():
                self._prober.indirect_ping(message, source, now)
            case Alive():
                self._claims.alive(message, source, now)
            case Suspect():
                self._claims.suspect(message, source, now)
            case Dead():
                self._claims.dead(message, source, now)
            case User():
                self._common.counts.user_received += 1
                self._common.effects.append(Delivered(message.payload, source))
            case Unreadable():
                self._common.counts.unreadable += 1
        return self._done(now)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due.

        A tick that is late by more than a probe may take means that this process stood still. Answers may wait unread,
        so nobody is judged by it: suspects get their time again, and our health is the worse for it.
        """
        timers, patience = self._common.timers, self._common.config.probe_timeout
        late = now - timers.deadline()
        if late > patience:
            self._common.counts.pauses += 1
            self._common.health.change(1)
            timers.forgive(now, now + patience)
            self._claims.restart_suspicions(now)
        timers.run(now)
        return self._done(now)

    def deadline(self) -> float:
        """When to call `tick`. Every other call may have changed it."""
        return self._common.timers.deadline()

    def stream_pong(self, sequence: int, now: float) -> list[Effect]:
        """The answer to a PingStream has come in time."""
        self._prober.stream_pong(sequence)
        return self._done(now)

    # --- the full state ---

    def local_state(self) -> list[PushNode]:
        """What we send in a push/pull."""
        return [
            PushNode(
                incarnation=member.incarnation,
                name=member.name,
                address=member.address,
                meta=member.meta,
                vsn=member.vsn,
                status=member.status,
            )
            for member in self._common.roster.current.values()
        ]

    def merge(self, nodes: Sequence[PushNode], now: float, *, join: bool) -> list[Effect]:
        """Take in what a peer has sent in a push/pull; `join`: one side came in by it.

        A death that the peer knows of is a mere suspicion here. Raises Incompatible before anything has changed.
        """
        self._check(nodes)
        for node in nodes:
            self._merge_one(node, now)
        if join:
            self._visits.hurry(now)  # when many join at once, gossip misses some
        return self._done(now)

    # --- what we want ---

    def set_seeds(self, seeds: Collection[Address], now: float) -> list[Effect]:
        """Addresses to join, and to join again; say it again whenever they resolve to others."""
        self._visits.set_seeds(seeds, now)
        return self._done(now)

    def broadcast(self, key: str, payload: bytes, now: float) -> bool:
        """Tell everybody; a later payload with the same key takes this one's place.

        False if it is too long for any packet. While nobody is there to hear it, it is not kept.
        """
        if len(payload) > self._common.config.max_message:
            self._common.counts.user_refused += 1
            return False
        if self._gossip.anybody(now):
            self._common.broadcasts.user.put(key, encode(User(payload)))
        self._done(now)
        return True

    def update_meta(self, meta: bytes, now: float) -> list[Effect]:
        """Change what we say of ourselves: at most 512 bytes."""
        self._claims.update_meta(meta, now)
        return self._done(now)

    def forget(self, name: str, now: float) -> list[Effect]:
        """Make a dead member one that has left, everywhere. Without effects if it is not dead."""
        member = self._common.roster.get(name)
        if member is not None and member.status is Status.DEAD:
            self._claims.dead(Dead(incarnation=member.incarnation, node=name, by=name), None, now)
        return self._done(now)

    def leave(self, now: float) -> list[Effect]:
        """Say goodbye. Go on until `left`, or until `RingConfig.leave_timeout` is over."""
        self._claims.leave(now)
        return self._done(now)

    def left(self) -> bool:
        """Whether our goodbye has been sent as often as it should, or nobody is there to hear it."""
        common = self._common
        return common.leaving and (common.name not in common.broadcasts.members or common.roster.alone())

    # --- what we know ---

    @property
    def health_score(self) -> int:
        """0: we are well. Up to `awareness_max` - 1: our view is not to be trusted."""
        return self._common.health.score

    def members(self) -> Sequence[Member]:
        """Everybody we know, ourselves among them, also the dead, and for a while those who left."""
        memory = self._common.config.left_memory
        return [
            member
            for member in self._common.roster.everybody()
            if member.status is not Status.LEFT or self._now - member.since <= memory
        ]

    def member(self, name: str) -> Member | None:
        """One of them."""
        return self._common.roster.get(name)

    def statistics(self) -> Statistics:
        """A snapshot."""
        broadcasts = self._common.broadcasts
        return Statistics(
            members=Census.of(self.members()),
            health_score=self.health_score,
            queued=len(broadcasts.members) + len(broadcasts.user),
            queued_bytes=broadcasts.members.bytes + broadcasts.user.bytes,
            dropped=broadcasts.members.dropped + broadcasts.user.dropped,
            counts=attrs.evolve(self._common.counts),
        )

    # --- ---

    def _check(self, nodes: Sequence[PushNode]) -> None:
        live = [node for node in nodes if node.status is Status.ALIVE]
        reasons = [mismatch(node.vsn, self._common.vsn) for node in live]
        if live and all(reasons):
            raise Incompatible(
                f"'{live[0].name}' and its peers can't be in one ring with this node: {reasons[0]};"
                " set -ring.memberlist.delegate-version to what they speak"
            )

    def _merge_one(self, node: PushNode, now: float) -> None:
        name, incarnation = node.name, node.incarnation
        match node.status:
            case Status.ALIVE:
                claim = Alive(incarnation=incarnation, node=name, address=node.address, meta=node.meta, vsn=node.vsn)
                self._claims.alive(claim, None, now)
                if name == self._common.name and self._common.at(node.address) != self._common.roster.own.address:
                    self._visits.hurry(now)  # an earlier life of ours at another address; soon it is found dead
            case Status.LEFT:
                self._claims.dead(Dead(incarnation=incarnation, node=name, by=name), None, now)
            case Status.SUSPECT | Status.DEAD:
                self._claims.suspect(Suspect(incarnation=incarnation, node=name, by=self._common.name), None, now)

    def _done(self, now: float) -> list[Effect]:
        self._now = now
        self._gossip.plan(now)
        effects, self._common.effects = self._common.effects, []
        return effects
