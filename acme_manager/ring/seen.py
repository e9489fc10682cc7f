"""Up to which stamp a copy of the shared map has seen everything that a leader has written."""

from __future__ import annotations

from acme_manager.ring.entries import ZERO, Stamp

_MOST_AHEAD = 10_000  # stamps that came before their predecessors; beyond, only a sync helps


class Seen:
    """A leader gives its writes the numbers one after the other, so a gap shows. Gaps close by gossip, or by a sync.

    The first number of a term is known to nobody but its leader: `complete` has to be called once in each term.
    """

    def __init__(self) -> None:
        self.until = ZERO
        self._ahead: set[Stamp] = set()

    def add(self, stamp: Stamp) -> None:
        """An entry with that stamp has come."""
        if stamp <= self.until:
            return
        if len(self._ahead) < _MOST_AHEAD:
            self._ahead.add(stamp)
        self._close()

    def complete(self, until: Stamp) -> None:
        """The copy has everything up to that stamp, whatever it has seen itself."""
        self.until = max(self.until, until)
        self._ahead = {stamp for stamp in self._ahead if stamp > self.until}
        self._close()

    def _close(self) -> None:
        while (following := Stamp(self.until.term, self.until.sequence + 1)) in self._ahead:
            self._ahead.discard(following)
            self.until = following
