"""The ring, its leader, and the workers on its nodes."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class WorkerAnswer:
    """A worker's last round on a node. `interval` is in seconds, times are in RFC 3339; what says nothing is left out.

    `leader_only`: it is the leader's, and all nodes show the same. `late`: the next round should have been heard of.
    `failures`: rounds in a row that failed, the last one for that `error`. `figures`: what it says of itself.
    """

    worker: str
    node: str
    leader_only: bool
    interval: float
    began: str
    ended: str
    next: str
    late: bool
    succeeded: str = ""
    error: str = ""
    failures: int = 0
    figures: dict[str, int] = attrs.field(factory=dict)


WorkersAnswer = list[WorkerAnswer]


@attrs.frozen(kw_only=True)
class LeaderAnswer:
    """The instance id of the node that leads."""

    name: str


@attrs.frozen(kw_only=True)
class Shard:
    """A member of the ring. `timestamp` is its latest heartbeat; what is not known is left out."""

    id: str
    state: str
    leader: bool
    address: str = ""
    timestamp: str = ""
    tokens: list[int] = attrs.field(factory=list)
    url: str = ""
    version: str = ""
    voter: bool = False


@attrs.frozen(kw_only=True)
class RingAnswer:
    """Every member, as the node that was asked sees it."""

    shards: list[Shard]
    now: str


@attrs.frozen(kw_only=True)
class MemberlistAnswer:
    """The members with all that is known about them, and the figures of the node that was asked."""

    members: list[dict[str, Any]]
    statistics: dict[str, Any]


@attrs.frozen(kw_only=True)
class ForgetForm:
    """The id of the member to give up."""

    forget: str
