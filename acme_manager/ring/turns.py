"""Who tries to lead when: everyone has a place in line, and a jitter that grows with every failure."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping

import attrs

from acme_manager.ring.leases import LeaseConfig
from acme_manager.ring.voters import Peer, in_line

_MOST_DOUBLINGS = 4


@attrs.define
class Turns:
    """How long this node waits before it tries. Safety does not depend on it; speed and fairness do."""

    me: str
    config: LeaseConfig
    rng: random.Random
    failures: int = 0

    def delay(self, voters: Collection[str], peers: Mapping[str, Peer]) -> float:
        """Seconds until this node's next attempt."""
        line = in_line(peer for peer in peers.values() if peer.name in voters)
        place = line.index(self.me) if self.me in line else 0
        jitter = self.rng.random() * 2.0 ** min(self.failures, _MOST_DOUBLINGS)
        return self.config.stagger * (place + jitter)
