"""What the scripts about the membership core have in common: one core, and peers that are only words."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from acme_manager.ring.config import RingConfig
from acme_manager.ring.membership import Membership
from acme_manager.ring.messages import Ack, Alive, Dead, Message, Ping, PushNode, Suspect, parse_untrusted
from acme_manager.ring.types import Address, Effect, Member, SendPacket, Status

HERE: Address = ("10.0.0.1", 7946)
THERE: Address = ("10.0.0.2", 7946)
ELSEWHERE: Address = ("10.0.0.9", 7946)
VSN = RingConfig().vsn


def core(now: float = 0.0, meta: bytes = b"ours", **knobs: Any) -> Membership:
    """A node called "a" that knows nobody."""
    return Membership(RingConfig(**knobs), "a", HERE, meta, random.Random(1), now)


def alive(node: str = "b", incarnation: int = 1, address: Address = THERE, **more: Any) -> Alive:
    """A claim of life."""
    return Alive(incarnation=incarnation, node=node, address=address, **({"vsn": VSN} | more))


def suspect(node: str = "b", incarnation: int = 1, by: str = "c") -> Suspect:
    """An accusation."""
    return Suspect(incarnation=incarnation, node=node, by=by)


def dead(node: str = "b", incarnation: int = 1, by: str = "c") -> Dead:
    """News of a death, or a goodbye if `by` is `node`."""
    return Dead(incarnation=incarnation, node=node, by=by)


def push(name: str = "b", incarnation: int = 1, status: Status = Status.ALIVE, **more: Any) -> PushNode:
    """One line of a full state."""
    return PushNode(name=name, incarnation=incarnation, status=status, **({"address": THERE, "vsn": VSN} | more))


def knowing(count: int, now: float = 0.0, **knobs: Any) -> Membership:
    """A core that knows members "b", "c" … at 10.0.0.2, .3 …"""
    ring = core(now, **knobs)
    for number in range(count):
        ring.receive(alive(chr(ord("b") + number), address=address(number)), address(number), now)
    quiet(ring)
    return ring


def address(number: int) -> Address:
    """Of the member with that number, from 0."""
    return f"10.0.0.{number + 2}", 7946


def quiet(ring: Membership) -> None:
    """Forget what it wanted to gossip."""
    ring._common.broadcasts.members.clear()
    ring._common.broadcasts.user.clear()
    ring._common.timers.cancel("gossip")


def member(ring: Membership, name: str = "b") -> Member:
    """A member that must be known."""
    found = ring.member(name)
    assert found is not None
    return found


def status(ring: Membership, name: str = "b") -> Status | None:
    """What the core holds of a member; None if it is unknown."""
    found = ring.member(name)
    return found.status if found else None


def sent(effects: Iterable[Effect], to: Address | None = None) -> list[Message]:
    """The messages in the packets, to one address or to all."""
    return [
        message
        for effect in effects
        if isinstance(effect, SendPacket) and to in (None, effect.to)
        for message in parse_untrusted(effect.payload)
    ]


def queued(ring: Membership) -> list[Message]:
    """What waits to be gossiped of members."""
    items = ring._common.broadcasts.members._items.values()
    return [message for item in items for message in parse_untrusted(item.message)]


def run(ring: Membership, start: float, seconds: float, *, answering: bool = False) -> list[tuple[float, Effect]]:
    """Let time pass, on the point, and collect what it does, with the times. `answering`: every probe succeeds."""
    happened: list[tuple[float, Effect]] = []
    while ring.deadline() <= start + seconds:
        now = max(ring.deadline(), start)
        effects = ring.tick(now)
        happened += [(now, effect) for effect in effects]
        for message in sent(effects):
            if answering and isinstance(message, Ping):
                ring.receive(Ack(sequence=message.sequence), THERE, now)
    return happened
