"""How often somebody may be wrong: a bucket for each source, and a larger one for each peer. Pure.

What a proxy says of its client tells people behind one balancer apart, but anybody can write that header; so a peer has
a bucket of its own, whatever it says.
"""

from __future__ import annotations

import attrs

_MOST = 10_000  # buckets; the emptiest are those that matter


@attrs.frozen
class Allowance:
    """So many at once, and one more each `refill` seconds."""

    burst: int
    refill: float


@attrs.define
class Buckets:
    """One bucket per source. Times are monotonic seconds."""

    allowance: Allowance
    _full_at: dict[str, float] = attrs.field(factory=dict, init=False)

    def wait(self, source: str, now: float) -> float:
        """Seconds until that source may try again; 0: it may."""
        first = self._full_at.get(source, now) - (self.allowance.burst - 1) * self.allowance.refill
        return max(0.0, first - now)

    def take(self, source: str, now: float) -> None:
        """Note that it has tried in vain."""
        if len(self._full_at) >= _MOST:
            self._full_at = {one: full for one, full in self._full_at.items() if full > now}
            if len(self._full_at) >= _MOST:
                self._full_at.clear()
        self._full_at[source] = max(self._full_at.get(source, now), now) + self.allowance.refill


class Throttle:
    """Both together."""

    def __init__(self) -> None:
        self._sources = Buckets(Allowance(burst=10, refill=6.0))
        self._peers = Buckets(Allowance(burst=100, refill=0.5))

    def wait(self, peer: str, forwarded: str, now: float) -> float:
        """Seconds until there may be another try; 0: now."""
        return max(self._sources.wait(f"{peer} {forwarded}", now), self._peers.wait(peer, now))

    def failed(self, peer: str, forwarded: str, now: float) -> None:
        """Note that a try has failed."""
        self._sources.take(f"{peer} {forwarded}", now)
        self._peers.take(peer, now)
