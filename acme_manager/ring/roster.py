"""The members that a node knows: in order of probing, and those who are gone for longer than anybody gossips about."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator

import attrs

from acme_manager.ring.config import RingConfig
from acme_manager.ring.types import Member, Status

GONE = frozenset({Status.DEAD, Status.LEFT})
LIVE = frozenset({Status.ALIVE, Status.SUSPECT})


class Roster:
    """Members by name. `current` counts in formulas and exchanges; `gone` is remembered, so that old news about a dead
    member can't bring it back, and a member behind a healed partition can be found. Bounded by `max_members`.
    """

    def __init__(self, config: RingConfig, own: Member, rng: random.Random) -> None:
        self._config = config
        self._rng = rng
        self._own = own.name
        self._order: list[str] = []  # everybody current but ourselves
        self._next = 0
        self.current: dict[str, Member] = {own.name: own}
        self.gone: dict[str, Member] = {}  # the longest gone first

    @property
    def own(self) -> Member:
        """This node."""
        return self.current[self._own]

    def get(self, name: str) -> Member | None:
        """A member, current or gone."""
        return self.current.get(name) or self.gone.get(name)

    def everybody(self) -> Iterator[Member]:
        """Current members, then those who are gone."""
        yield from self.current.values()
        yield from self.gone.values()

    def others(self) -> Iterable[Member]:
        """Current members but ourselves, in no particular order."""
        return (self.current[name] for name in self._order)

    def alone(self) -> bool:
        """Whether no other member is alive, as far as we know."""
        return not any(member.status in LIVE for member in self.others())

    def put(self, member: Member) -> bool:
        """Add or replace a member; what is gone becomes current again. False: there is no room for one more."""
        if member.name not in self.current:
            if self.gone.pop(member.name, None) is None and not self._make_room():
                return False
            self._order.insert(self._rng.randrange(len(self._order) + 1), member.name)
        self.current[member.name] = member
        return True

    def next_to_probe(self, now: float) -> Member | None:
        """The next live member, round-robin; each round buries the dead and draws a new order."""
        for _ in range(len(self._order) + 1):
            if self._next >= len(self._order):
                self._next = 0
                self._bury(now)
                self._rng.shuffle(self._order)
            if not self._order:
                return None
            member = self.current[self._order[self._next]]
            self._next += 1
            if member.status in LIVE:
                return member
        return None

    def hears_gossip(self, member: Member, now: float) -> bool:
        """The live do, and those who died so recently that they may object. Who left does not listen."""
        if member.status is Status.DEAD:
            return now - member.since <= self._config.gossip_to_dead
        return member.status in LIVE

    def sample(self, count: int, wanted: Callable[[Member], bool]) -> list[Member]:
        """Up to that many different others that are wanted, at random."""
        chosen: dict[str, Member] = {}
        tries = 4 * count if len(self._order) > 4 * count else 0
        for _ in range(tries):
            member = self.current[self._order[self._rng.randrange(len(self._order))]]
            if member.name not in chosen and wanted(member):
                chosen[member.name] = member
                if len(chosen) == count:
                    return list(chosen.values())
        rest = [member for member in self.others() if member.name not in chosen and wanted(member)]
        return [*chosen.values(), *self._rng.sample(rest, min(count - len(chosen), len(rest)))]

    def _make_room(self) -> bool:
        if len(self.current) + len(self.gone) < self._config.max_members:
            return True
        if self.gone:
            del self.gone[next(iter(self.gone))]
            return True
        return False

    def _bury(self, now: float) -> None:
        for member in list(self.others()):
            if member.status in GONE and now - member.since > self._config.gossip_to_dead:
                del self.current[member.name]
                self.gone[member.name] = member
        self._order = [name for name in self.current if name != self._own]
        for member in list(self.gone.values()):
            if now - member.since > self._config.graveyard_memory:
                del self.gone[member.name]


@attrs.frozen(kw_only=True)
class Census:
    """How many members have which status; the gone are counted too."""

    alive: int = 0
    suspect: int = 0
    dead: int = 0
    left: int = 0

    @classmethod
    def of(cls, members: Iterable[Member]) -> Census:
        """Count."""
        counts = [0] * len(Status)
        for member in members:
            counts[member.status] += 1
        return cls(alive=counts[0], suspect=counts[1], dead=counts[2], left=counts[3])
