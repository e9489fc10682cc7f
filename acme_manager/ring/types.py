"""The words that the parts of the ring have in common."""

from __future__ import annotations

import enum

import attrs

Address = tuple[str, int]
"""A literal IP address and a port. Names are resolved before they get here."""


class BadPacket(Exception):
    """Bytes from the network that are not what they should be. The only error that reading such bytes may raise."""


class Status(enum.IntEnum):
    """What we hold of a member; the numbers are memberlist's."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


@attrs.frozen(kw_only=True)
class Member:
    """A member as this node sees it. `since` is monotonic time of the last change of status."""

    name: str
    address: Address
    meta: bytes = b""
    vsn: bytes = b"\x01\x05\x02\x00\x00\x00"
    incarnation: int = 0
    status: Status = Status.ALIVE
    since: float = 0.0


class Kind(enum.IntEnum):
    """The first byte of everything that we send over memberlist's user messages."""

    ENTRIES = 1  # gossip: entries of the shared map
    LEADERSHIP = 2  # votes and leases, straight to one member
    SYNC_REQUEST = 3  # over a stream
    SYNC_REPLY = 4
    DIGEST = 5  # the user state of push/pull


# --- effects of the membership core ------------------------------------------------------------------------------


@attrs.frozen
class SendPacket:
    """Send these bytes (one packet, not sealed yet) to an address. `crc`: the peer is known to check one."""

    to: Address
    payload: bytes = attrs.field(repr=False)
    crc: bool = False


@attrs.frozen
class PingStream:
    """Probe a member over TCP too; the driver answers with `stream_pong(sequence)` if it gets an ack in time."""

    to: Address
    name: str
    sequence: int
    deadline: float


@attrs.frozen
class PushPull:
    """Exchange full membership state with a member over TCP (and our digest as its user state)."""

    to: Address
    name: str
    join: bool = False


@attrs.frozen
class StatusChanged:
    """A member joined, changed its meta or address, fell under suspicion, died, left, or came back."""

    member: Member
    before: Status | None  # None: it was not known


@attrs.frozen
class Delivered:
    """A user message for the layers above; its first byte is a Kind."""

    payload: bytes = attrs.field(repr=False)
    source: Address


@attrs.frozen
class Refused:
    """A claim about a member that was not believed, for the log. It may repeat quickly; the driver says it rarely."""

    name: str
    reason: str
    source: Address | None  # None: it was in a push/pull


Effect = SendPacket | PingStream | PushPull | StatusChanged | Delivered | Refused
