"""What members say of each other, and whether it is believed: the rules of SWIM with incarnations.

Only a member itself raises its incarnation, so for every member the highest one wins; at the same incarnation death
beats suspicion, which beats life. Beyond memberlist's rules, and invisible to its nodes:

- Incarnations never decrease here, not even when a dead member's name is taken over from another address.
- Who shows an old claim of life for a dead member is told so (`_challenge`), and one who refutes says so to the accuser
  too. With both, a restarted node or a healed partition is known again after one round trip instead of never.
- A member that was taken for dead and then says goodbye, or is forgotten by an operator, becomes one that left.
"""

from __future__ import annotations

from functools import partial

import attrs

from acme_manager.ring.common import Common
from acme_manager.ring.messages import Alive, Dead, Suspect, encode
from acme_manager.ring.roster import GONE
from acme_manager.ring.suspicion import Suspicion
from acme_manager.ring.types import Address, Member, PushPull, Refused, Status, StatusChanged

HIGHEST = 2**31  # no honest node gets there; above, 32 bits would soon leave nobody room to refute
_PROTOCOL, _DELEGATE = (0, 1, 2), (3, 4, 5)  # where PMin, PMax, PCur and DMin, DMax, DCur are in a Vsn


class Claims:
    """Believes or refuses, and keeps the roster. `source`: who sent it; None if it came in a push/pull."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._suspicions: dict[str, Suspicion] = {}

    def alive(self, claim: Alive, source: Address | None, now: float) -> None:
        """A member is there."""
        common, roster = self._common, self._common.roster
        if not claim.address[1]:
            claim = attrs.evolve(claim, address=common.at(claim.address))
        known = roster.get(claim.node)
        if claim.incarnation > HIGHEST:
            self._refuse(claim.node, "its incarnation is out of bounds", source)
        elif claim.vsn != common.vsn and (why := mismatch(claim.vsn, common.vsn)):
            self._refuse(claim.node, why, source)
        elif known is not None and known.address != claim.address and not self._may_move(known, now):
            self._refuse(
                claim.node, f"conflicting address: it is at {known.address}, and said to be at {claim.address}", source
            )
        elif claim.node == common.name:
            self._alive_ourselves(claim, source)
        elif claim.incarnation > (known.incarnation if known else 0):
            self._believe(claim, known, source, now)
        elif known is not None and known.status in GONE and not common.leaving:
            self._challenge(known, claim.address, now)

    def suspect(self, claim: Suspect, source: Address | None, now: float) -> None:
        """A member does not answer somebody."""
        known = self._common.roster.get(claim.node)
        if known is None or claim.incarnation > HIGHEST or self._is_old(claim.incarnation, known, source):
            return
        suspicion = self._suspicions.get(claim.node)
        if suspicion is not None:
            if suspicion.confirm(claim.by):
                self._common.spread(claim.node, claim)
                self._await_death(claim.node, suspicion)
        elif known.status is Status.ALIVE:
            if known.name == self._common.name:
                self._refute(claim.incarnation, source)
            else:
                self._begin_suspicion(claim, known, now)

    def dead(self, claim: Dead, source: Address | None, now: float) -> None:
        """A member is gone; it has left if it says so itself."""
        common = self._common
        known = common.roster.get(claim.node)
        if known is None or claim.incarnation > HIGHEST or self._is_old(claim.incarnation, known, source):
            return
        left = claim.by == claim.node
        if known.status is Status.LEFT or (known.status is Status.DEAD and not left):
            return
        if known.name == common.name:
            self._refute(claim.incarnation, source)
            return
        self._end_suspicion(claim.node)
        common.counts.deaths += not left
        common.spread(claim.node, claim)
        status = Status.LEFT if left else Status.DEAD
        self._record(known, attrs.evolve(known, incarnation=claim.incarnation, status=status), now)

    def announce(self) -> None:
        """Tell everybody that we are here, as we are."""
        self._common.spread(self._common.name, as_alive(self._common.roster.own))

    def update_meta(self, meta: bytes, now: float) -> None:
        """Say something else of ourselves."""
        own = self._common.roster.own
        if meta != own.meta and not self._common.leaving:
            self._record(own, attrs.evolve(own, meta=meta, incarnation=min(own.incarnation + 1, HIGHEST)), now)
            self.announce()

    def leave(self, now: float) -> None:
        """Say goodbye."""
        own = self._common.roster.own
        if not self._common.leaving:
            self._common.leaving = True
            self._common.spread(own.name, Dead(incarnation=own.incarnation, node=own.name, by=own.name))
            self._record(own, attrs.evolve(own, status=Status.LEFT), now)

    def restart_suspicions(self, now: float) -> None:
        """Give every suspect its time again: we could not have heard an objection."""
        for name, suspicion in self._suspicions.items():
            suspicion.restart(now)
            self._await_death(name, suspicion)

    # --- about others ---

    def _may_move(self, known: Member, now: float) -> bool:
        if known.status is Status.DEAD:
            return now - known.since >= self._common.config.dead_reclaim
        return known.status is Status.LEFT

    def _believe(self, claim: Alive, known: Member | None, source: Address | None, now: float) -> None:
        if not self._record(known, _as_member(claim, known), now):
            self._refuse(claim.node, "there is no room for more members", source)
            return
        self._end_suspicion(claim.node)
        self._common.spread(claim.node, claim)
        if known is not None and known.status is Status.DEAD and source == claim.address:
            self._common.effects.append(PushPull(claim.address, claim.node))  # it has missed everything since

    def _begin_suspicion(self, claim: Suspect, known: Member, now: float) -> None:
        common = self._common
        common.counts.suspicions += 1
        common.spread(claim.node, claim)
        self._record(known, attrs.evolve(known, incarnation=claim.incarnation, status=Status.SUSPECT), now)
        members = len(common.roster.current)
        suspicion = Suspicion(common.config, members=members, accuser=claim.by, now=now)
        self._suspicions[claim.node] = suspicion
        self._await_death(claim.node, suspicion)

    def _await_death(self, name: str, suspicion: Suspicion) -> None:
        self._common.timers.set(("suspicion", name), suspicion.deadline, partial(self._die, name))

    def _die(self, name: str, now: float) -> None:
        member = self._common.roster.current[name]
        self.dead(Dead(incarnation=member.incarnation, node=name, by=self._common.name), None, now)

    def _end_suspicion(self, name: str) -> None:
        if self._suspicions.pop(name, None) is not None:
            self._common.timers.cancel(("suspicion", name))

    def _challenge(self, known: Member, address: Address, now: float) -> None:
        common = self._common
        common.counts.challenges += 1
        if known.name in common.roster.gone:  # others may have forgotten it, and believe the old claim
            known = attrs.evolve(known, since=now)
            common.roster.put(known)
            common.spread(known.name, self._as_dead(known))
        common.send(address, encode(self._as_dead(known)), known)

    def _as_dead(self, known: Member) -> Dead:
        by = known.name if known.status is Status.LEFT else self._common.name
        return Dead(incarnation=known.incarnation, node=known.name, by=by)

    # --- about ourselves ---

    def _alive_ourselves(self, claim: Alive, source: Address | None) -> None:
        own = self._common.roster.own
        same = (claim.incarnation, claim.meta, claim.vsn) == (own.incarnation, own.meta, own.vsn)
        if claim.incarnation >= own.incarnation and not same and not self._common.leaving:
            self._refute(claim.incarnation, source)

    def _is_old(self, incarnation: int, known: Member, source: Address | None) -> bool:
        if incarnation >= known.incarnation:
            return False
        if source is not None and known.name == self._common.name and not self._common.leaving:
            self._common.send(source, encode(as_alive(known)))  # it has missed our refutation
        return True

    def _refute(self, accused: int, source: Address | None) -> None:
        common = self._common
        common.counts.refutations += 1
        common.health.change(1)
        own = common.roster.own
        own = attrs.evolve(own, incarnation=min(max(own.incarnation, accused) + 1, HIGHEST))
        common.roster.put(own)
        self.announce()
        if source is not None:
            common.send(source, encode(as_alive(own)))

    # --- the roster ---

    def _record(self, before: Member | None, after: Member, now: float) -> bool:
        if before is None or before.status is not after.status:
            after = attrs.evolve(after, since=now)
        if not self._common.roster.put(after):
            return False
        if before is None or _seen(before) != _seen(after):
            self._common.effects.append(StatusChanged(after, before.status if before else None))
        return True

    def _refuse(self, name: str, reason: str, source: Address | None) -> None:
        self._common.counts.refused += 1
        self._common.effects.append(Refused(name, reason, source))


def as_alive(member: Member) -> Alive:
    """The claim that a member would make of itself."""
    return Alive(
        incarnation=member.incarnation,
        node=member.name,
        address=member.address,
        meta=member.meta,
        vsn=member.vsn,
    )


def _as_member(claim: Alive, known: Member | None) -> Member:
    return Member(
        name=claim.node,
        address=claim.address,
        meta=claim.meta,
        vsn=claim.vsn,
        incarnation=claim.incarnation,
        since=known.since if known else 0.0,
    )


def _seen(member: Member) -> tuple[object, ...]:
    """What others in this process want to hear about."""
    return member.status, member.meta, member.address


def mismatch(theirs: bytes, ours: bytes) -> str | None:
    """Why two nodes can't be in one ring, or None: each must speak what the other accepts, in both protocols.

    memberlist compares everybody with everybody and fails as a whole; one odd node there keeps all others from joining.
    """
    for what, (low, high, current) in (("protocol", _PROTOCOL), ("delegate", _DELEGATE)):
        if theirs[low] > theirs[high] or (what == "protocol" and not theirs[low]):
            return f"its {what} versions make no sense: {theirs[low]} to {theirs[high]}"
        if not (ours[low] <= theirs[current] <= ours[high] and theirs[low] <= ours[current] <= theirs[high]):
            return (
                f"it speaks {what} version {theirs[current]} and accepts {theirs[low]} to {theirs[high]},"
                f" we speak {ours[current]} and accept {ours[low]} to {ours[high]}"
            )
    return None
