"""What happens to each certificate, noted by those who issue them, and held against promises of its own arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs
import trio

from tests.simulation.lifecycle.fleet import DAY, Member

_DEFAULT_WINDOW = "20-30"
_SHORT_LIVED = 10 * DAY
_SECOND = timedelta(seconds=1)

Window = tuple[datetime, datetime]


@attrs.define(eq=False, kw_only=True)
class Leaf:
    """A certificate that a CA has issued. `ari` is when that wants it to be renewed, None where it does not say."""

    issuer: str
    names: frozenset[str]
    start: datetime
    end: datetime
    ari: Window | None
    window: Window = attrs.field(init=False)  # in which it is to be renewed
    moved_at: datetime | None = None  # when the CA has changed its mind
    opened: datetime = attrs.field(init=False)  # when the first of its windows did, if it has had two
    fetched: bool = False
    replaced: bool = False

    @property
    def lifetime(self) -> timedelta:
        """From start to end."""
        return self.end - self.start

    @property
    def rule(self) -> str:
        """What its window comes from."""
        if self.moved_at is not None:
            return "moved"
        return "ari" if self.ari else "share" if self.lifetime < timedelta(days=40) else "days"


@attrs.frozen(kw_only=True)
class Renewal:
    """One certificate in the place of another: when that was first tried, and when it was done."""

    member: Member
    before: Leaf
    tried: datetime
    done: datetime
    refusals: int

    @property
    def left(self) -> float:
        """What was left of the one before, as a share of its life; negative when it had expired."""
        return (self.before.end - self.done) / self.before.lifetime

    @property
    def phase(self) -> float:
        """Where in the window it was first tried: from 0 to 1, beyond that too early or too late."""
        start, end = self.before.window
        return (self.tried - start) / max(end - start, _SECOND)

    @property
    def early(self) -> timedelta:
        """How long before its window it was tried."""
        return max(timedelta(), self.before.opened - self.tried - _SECOND)

    @property
    def late(self) -> timedelta:
        """How long after its window, or after the CA has moved that, it was tried."""
        return max(timedelta(), self.tried - max(self.before.window[1], self.before.moved_at or self.before.start))


@attrs.define(eq=False)
class Life:
    """What has become of one member of the fleet."""

    member: Member
    first: Leaf | None = None
    leaf: Leaf | None = None
    tried: datetime | None = None  # first attempt to replace the leaf
    orders: int = 0
    issued: int = 0
    refused: int = 0
    _refused_before: int = 0

    def replace(self, leaf: Leaf, at: datetime) -> Renewal | None:
        """A new one has been issued."""
        before, tried, refusals = self.leaf, self.tried or at, self.refused - self._refused_before
        self.leaf, self.tried, self._refused_before = leaf, None, self.refused
        self.issued += 1
        if before is None:
            self.first = leaf
            return None
        before.replaced = True
        return Renewal(member=self.member, before=before, tried=tried, done=at, refusals=refusals)

    def expected(self, until: datetime) -> int:
        """How many renewals there are when each is in the middle of its window."""
        if self.first is None:
            return 0
        start, end = configured_window(self.member, self.first) if self.first.ari is None else self.first.ari
        return (until - self.first.start) // (start + (end - start) / 2 - self.first.start)


class Book:
    """One page per certificate."""

    def __init__(self, fleet: Iterable[Member]) -> None:
        self.lives = {member.names: Life(member) for member in fleet}
        self.renewals: list[Renewal] = []
        self.revoked_in_service: list[Leaf] = []
        self.attempted = trio.Event()  # the next time that an order is on its way
        self._leaves: dict[str, Leaf] = {}

    def member(self, names: frozenset[str]) -> Member:
        """Whose names these are."""
        return self.lives[names].member

    def leaf(self, fingerprint: str) -> Leaf | None:
        """A certificate by the fingerprint of its PEM text."""
        return self._leaves.get(fingerprint)

    def attempt(self, names: frozenset[str], at: datetime) -> None:
        """An order is on its way to a CA, which may be away."""
        life = self.lives[names]
        life.tried = life.tried or at
        self.attempted.set()

    def ordered(self, names: frozenset[str]) -> None:
        """A CA has taken an order."""
        self.lives[names].orders += 1

    def refused(self, names: frozenset[str]) -> None:
        """An order has failed."""
        self.lives[names].refused += 1

    def made(self, fingerprint: str, leaf: Leaf) -> None:
        """A CA has issued a certificate."""
        leaf.window = leaf.ari or configured_window(self.member(leaf.names), leaf)
        leaf.opened = leaf.window[0]
        self._leaves[fingerprint] = leaf

    def fetched(self, leaf: Leaf, at: datetime) -> None:
        """Somebody has fetched it, perhaps once more."""
        if leaf.fetched:
            return
        leaf.fetched = True
        renewal = self.lives[leaf.names].replace(leaf, at)
        if renewal is not None:
            self.renewals.append(renewal)

    def unfetched(self) -> list[Leaf]:
        """What has been issued for nobody."""
        return [leaf for leaf in self._leaves.values() if not leaf.fetched]

    def in_service(self, issuer: str) -> list[Leaf]:
        """The newest certificate of each member, as far as that CA has issued it."""
        leaves = (life.leaf for life in self.lives.values())
        return [leaf for leaf in leaves if leaf is not None and leaf.issuer == issuer]

    def move(self, leaves: Iterable[Leaf], window: Window, at: datetime) -> None:
        """The CA wants these to be renewed in another window."""
        for leaf in leaves:
            leaf.ari = leaf.window = window
            leaf.opened = min(leaf.opened, window[0])
            leaf.moved_at = at

    def revoke(self, leaves: Iterable[Leaf], at: datetime) -> None:
        """The CA revokes these: none should be in service any more whose names could have been validated."""
        alive = (leaf for leaf in leaves if not leaf.replaced)
        self.revoked_in_service += [leaf for leaf in alive if self.member(leaf.names).well(leaf.moved_at or at, at)]

    def expired(self, at: datetime) -> list[Life]:
        """Whose certificate has expired without another in its place, now or at any time before."""
        late = {renewal.member.names for renewal in self.renewals if renewal.left < 0}
        return [
            life
            for names, life in self.lives.items()
            if names in late or (life.leaf is not None and life.leaf.end <= at)
        ]


def configured_window(member: Member, leaf: Leaf) -> Window:
    """`renewal_days` before the end; where that does not fit, three quarters of the last third, or of the last half."""
    days = [int(part) * DAY for part in (member.params.renewal_days or _DEFAULT_WINDOW).split("-")]
    start, end = leaf.end - days[-1], leaf.end - days[0]
    if start > leaf.start:
        return start, end
    rest = leaf.lifetime / (2 if leaf.lifetime < _SHORT_LIVED else 3)
    return leaf.end - rest, leaf.end - rest / 4
