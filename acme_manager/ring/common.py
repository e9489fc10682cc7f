"""What the parts of the membership core share: the tables, the timers, and the effects of the step under way."""

from __future__ import annotations

import random

import attrs

from acme_manager.ring.broadcasts import Broadcasts
from acme_manager.ring.config import RingConfig
from acme_manager.ring.health import Health
from acme_manager.ring.messages import Mapped, encode
from acme_manager.ring.roster import Roster
from acme_manager.ring.timers import Timers
from acme_manager.ring.types import Address, Effect, Member, SendPacket

CHECKS_CRC = 5  # the protocol version from which on a peer reads checksums


@attrs.define(kw_only=True)
class Counts:
    """What has happened since the start; all only grow."""

    probes: int = 0
    probes_failed: int = 0  # neither it, nor a relay, nor TCP answered
    probes_by_tcp: int = 0  # only TCP answered: UDP is blocked somewhere
    relays: int = 0  # indirect probes for others
    relays_dropped: int = 0  # too many at once
    suspicions: int = 0
    deaths: int = 0  # without those who left
    refutations: int = 0  # of what others said about us
    challenges: int = 0  # old news about a dead member, answered with what we know
    refused: int = 0  # claims that were not believed
    user_received: int = 0
    user_refused: int = 0  # our own messages that are too long for a packet
    unreadable: int = 0  # parts of a compound
    pauses: int = 0  # times that this process stood still for longer than a probe may take


class Common:
    """The state of one node's membership. Only the parts of the core touch it."""

    def __init__(self, config: RingConfig, own: Member, rng: random.Random) -> None:
        self.config = config
        self.rng = rng
        self.name = own.name
        self.vsn = config.vsn
        self.leaving = False
        self.roster = Roster(config, own, rng)
        self.timers = Timers()
        self.health = Health(config.awareness_max)
        self.broadcasts = Broadcasts(
            budget=config.payload_budget, max_members=config.max_members, max_user=config.max_queued
        )
        self.counts = Counts()
        self.effects: list[Effect] = []

    @property
    def transmits(self) -> int:
        """How often a message is to be sent just now."""
        return self.config.transmits(len(self.roster.current))

    def at(self, address: Address) -> Address:
        """An address from a message: port 0 stands for our own port (memberlist before it announced ports)."""
        return address if address[1] else (address[0], self.roster.own.address[1])

    def send(self, to: Address, packet: bytes, member: Member | None = None) -> None:
        """Send a packet that is put together already."""
        self.effects.append(SendPacket(to, packet, member is not None and member.vsn[1] >= CHECKS_CRC))

    def say(self, to: Address, message: Mapped, member: Member | None = None) -> None:
        """Send a message, and what news fits beside it."""
        self.send(to, self.broadcasts.along(encode(message), transmits=self.transmits), member)

    def spread(self, name: str, message: Mapped) -> None:
        """Tell everybody what is new about a member; it replaces what we were telling before."""
        self.broadcasts.members.put(name, encode(message))
