"""Who is there, as the layers above membership need it: which of the members are of our kind, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from acme_manager.ring.membership import Membership
from acme_manager.ring.meta import parse_untrusted as parse_meta
from acme_manager.ring.records import FACT, Record
from acme_manager.ring.records import parse_untrusted as parse_record
from acme_manager.ring.types import Address, Member, Status
from acme_manager.ring.voters import Peer

_LIVE = frozenset({Status.ALIVE, Status.SUSPECT})


class Directory:
    """The members of one node's view. `value` reads the shared map."""

    def __init__(self, name: str, membership: Membership, value: Callable[[str], bytes | None], now: float) -> None:
        self._name, self._membership, self._value = name, membership, value
        self._joined = {name: now}

    def noted(self, member: Member, now: float) -> None:
        """A member has come, changed or gone."""
        if member.status in _LIVE:
            self._joined.setdefault(member.name, now)
        else:
            self._joined.pop(member.name, None)

    def we_joined(self, now: float) -> None:
        """This node takes its place in line only now: it was still looking for the others."""
        self._joined[self._name] = now

    def members(self) -> Sequence[Member]:
        """Everybody, this node and the gone included."""
        return self._membership.members()

    def get(self, name: str | None) -> Member | None:
        """One of them."""
        return self._membership.member(name) if name else None

    def peers(self) -> list[Member]:
        """The others who are there for sure and of our kind."""
        return [member for member in self.members() if self.is_peer(member)]

    def is_peer(self, member: Member) -> bool:
        """Whether a member is one of `peers`."""
        ours = member.status is Status.ALIVE and parse_meta(member.meta) is not None
        return ours and member.name != self._name

    def peer_at(self, address: Address) -> Member | None:
        """The one of `peers` with that address."""
        return next((member for member in self.peers() if member.address == address), None)

    def record(self, name: str) -> Record | None:
        """What a member says of itself in the shared map."""
        return parse_record(self._value(f"member/{name}/{FACT}"))

    def api_url(self, name: str | None) -> str | None:
        """Where a member's API listens."""
        member = self.get(name)
        meta = parse_meta(member.meta) if member else None
        return (meta.api or None) if meta else None

    def electorate(self) -> Iterator[Peer]:
        """Everybody as leadership sees them."""
        for member in self.members():
            record = self.record(member.name)
            own = self._membership.health_score
            yield Peer(
                name=member.name,
                status=member.status,
                since=member.since,
                joined=self._joined.get(member.name, member.since),
                health=own if member.name == self._name else record.health if record else 0,
                capable=parse_meta(member.meta) is not None,
            )
