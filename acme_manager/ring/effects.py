"""What the core of leadership wants done. The driver performs effects in the order in which they are returned."""

from __future__ import annotations

import enum

import attrs

from acme_manager.ring.ballots import Message
from acme_manager.ring.fence import Fence


@attrs.frozen
class Send:
    """One packet straight to a member. It may get lost."""

    to: str
    message: Message


@attrs.frozen
class ReadFence:
    """Read the fence record, and answer with `fence_read` or `fence_unreadable`, within a bounded time."""


@attrs.frozen
class WriteFence:
    """Write the fence record, and answer with `fence_written`, within a bounded time.

    Where `fence.since` is empty the driver puts the time, and hands back this effect with it.
    """

    fence: Fence
    expected: int


class Written(enum.Enum):
    """How a write of the fence record ended."""

    OK = enum.auto()
    STALE = enum.auto()  # storage holds another version than the expected one
    UNKNOWN = enum.auto()  # failed, or it is not known whether it did: it may also happen later


@attrs.frozen
class BecameLeader:
    """This node leads. `until` is when its lease ends unless it is renewed; `leads` always knows better."""

    term: int
    until: float


@attrs.frozen
class LostLeadership:
    """Cancel everything that only a leader may do, before performing the next effect."""

    term: int
    reason: str


@attrs.frozen
class LeaderChanged:
    """Who leads, as far as this node knows: a name (perhaps its own), or nobody."""

    name: str | None
    term: int


Effect = Send | ReadFence | WriteFence | BecameLeader | LostLeadership | LeaderChanged
