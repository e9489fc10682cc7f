"""Who counts: the list of voters in the fence record, and which single change a leader should make to it next."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import attrs

from acme_manager.ring.leases import Lease, LeaseConfig
from acme_manager.ring.types import Status


@attrs.frozen(kw_only=True)
class Peer:
    """What membership knows of a node, this one included. Times are this node's monotonic seconds."""

    name: str
    status: Status = Status.ALIVE
    since: float = 0.0  # of the last change of status
    joined: float = 0.0  # since when it has been a member, as far as known here
    health: int = 0  # Lifeguard's score; 0 is well
    capable: bool = True  # it is one of us, and not another program's node in the same gossip

    @property
    def present(self) -> bool:
        """Whether it takes part, or may: a suspicion is no verdict."""
        return self.capable and self.status in {Status.ALIVE, Status.SUSPECT}


def in_line(candidates: Iterable[Peer]) -> list[str]:
    """Who should try first to lead: the healthy before the rest, then who has been here longest."""
    ordered = sorted(candidates, key=lambda peer: (peer.health > 0, peer.joined, peer.name))
    return [peer.name for peer in ordered if peer.present]


@attrs.frozen(kw_only=True)
class Roll:
    """A leader's view when it looks for a change to the list of voters."""

    me: str
    voters: tuple[str, ...]
    peers: Mapping[str, Peer]
    lease: Lease
    leading_since: float
    forgotten: Collection[str] = ()

    def next_change(self, config: LeaseConfig, now: float) -> tuple[str, ...] | None:
        """The list with one name less or one more, or None when it is right or can't be changed yet.

        The lease must run over the new list already: whichever of the two the storage holds a moment later, a majority
        of it is bound to us. And it must be young: a leader that has just lost sight of others leaves the list alone.
        """
        changes = [*self._removals(config, now), *self._additions(now)]
        old = config.held - 1.5 * config.renew_every
        return next((voters for voters in changes if now < self.lease.until(voters) - old), None)

    def _removals(self, config: LeaseConfig, now: float) -> Iterator[tuple[str, ...]]:
        for name in self.voters:
            if name != self.me and self._is_gone(name, config, now):
                yield tuple(voter for voter in self.voters if voter != name)

    def _is_gone(self, name: str, config: LeaseConfig, now: float) -> bool:
        peer = self.peers.get(name)
        if peer is not None and peer.status is Status.LEFT:
            return True
        if (peer is not None and peer.present) or self.lease.fresh(name, now):
            return False
        since = peer.since if peer is not None else self.leading_since
        return name in self.forgotten or now >= since + config.forget_after

    def _additions(self, now: float) -> Iterator[tuple[str, ...]]:
        for name in in_line(self.peers.values()):
            if name not in self.voters and self.lease.fresh(name, now):
                yield tuple(sorted({*self.voters, name}))
