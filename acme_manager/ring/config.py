"""Every knob of the ring: its default, what it means, and the formula that uses it.

Times are seconds. The defaults are memberlist's for a LAN, except where a comment says why not. What an operator may
turn has a flag (`ring.memberlist.*`, `ring.*`); the rest is fixed by what the protocol promises to its peers.
"""

from __future__ import annotations

import math
from typing import cast

import attrs

from acme_manager.config.flags import Flags

SPOKEN = 2  # the version of memberlist's protocol that everybody speaks
_SERF = 2  # serf's delegate speaks versions 2 to 5

_LABEL_HEADER = 2  # type byte and length
_SEAL = 29  # version, nonce and tag around a sealed packet
_CRC = 5  # type byte and CRC-32

_positive = attrs.validators.gt(0)
_at_least_one = attrs.validators.ge(1)
_not_negative = attrs.validators.ge(0)


def _knob(default: float, check: object = _positive) -> float:
    return cast("float", attrs.field(default=default, validator=check))  # type: ignore[call-overload]


def _count(default: int, check: object = _at_least_one) -> int:
    return cast("int", attrs.field(default=default, validator=check))  # type: ignore[call-overload]


@attrs.frozen(kw_only=True)
class RingConfig:
    """How this node takes part in the ring."""

    # --- who we are ---
    label: str = ""  # prefix of every packet and stream; another cluster's is refused. At most 255 bytes.
    verify_label: bool = True  # false: another label or none is accepted, for the time of a change
    sealed: bool = False  # a key is configured: each packet gets 29 bytes longer
    # DCur that we announce. 0: one of our own kind. 5: serf takes us for one of its own (Vsn 1,5,2 2,5,5).
    delegate_version: int = attrs.field(default=0, validator=attrs.validators.in_(range(6)))

    # --- probes: one member every probe_interval * (health score + 1), round-robin in random order ---
    probe_interval: float = _knob(1.0)
    probe_timeout: float = _knob(0.5)  # then indirect_checks members and TCP are asked; a relay waits as long
    indirect_checks: int = _count(3, _not_negative)
    awareness_max: int = _count(8)  # the health score stays below this
    max_relays: int = _count(1024)  # indirect probes under way for others; more are not taken on

    # --- suspicion: low = mult * max(1, log10(members)) * probe_interval, high = max_mult * low ---
    suspicion_mult: int = _count(4)  # also: mult - 2 confirmations bring the wait from high down to low
    suspicion_max_mult: int = _count(6)

    # --- gossip: each message is sent max(retransmit_floor, retransmit_mult * ceil(log10(members + 1))) times ---
    gossip_interval: float = _knob(0.2)
    gossip_delay: float = _knob(0.01, _not_negative)  # news after a pause waits that long for company
    gossip_nodes: int = _count(3)
    gossip_packets: int = _count(8)  # to one member at once, when there is a backlog: 1400 * 8 * 3 / 0.2 s = 168 kB/s
    retransmit_mult: int = _count(4)
    retransmit_floor: int = _count(8)  # memberlist's own 4 below 10 members leaves one update in 150 to push/pull
    gossip_to_dead: float = _knob(30.0, _not_negative)  # the newly dead hear about it, so that they can object
    packet_budget: int = _count(1400)  # of a packet on the wire; a longer message travels alone
    max_message: int = _count(60_000)  # what fits a datagram with all its wrapping; longer ones are refused
    max_queued: int = _count(4096)  # of keyed user messages; beyond, the most transmitted are dropped and counted

    # --- push/pull: one member every push_pull_interval * scale; scale is 1 to 32 members, then +1 per doubling ---
    push_pull_interval: float = _knob(30.0, _not_negative)  # 0: never
    stream_timeout: float = _knob(2.0)  # of a whole exchange over TCP
    max_stream: int = _count(20 * 2**20)  # bytes of one message over TCP

    # --- who is gone, and how they come back ---
    # A dead member's name may be taken by another address that long after its death. 0: at once; its suspicion has
    # run out by then, which memberlist's 0 (never) makes an operator's job.
    dead_reclaim: float = _knob(0.0, _not_negative)
    left_memory: float = _knob(300.0, _not_negative)  # how long who left is still listed
    graveyard_memory: float = _knob(24 * 3600.0)  # how long the gone are remembered, and the dead are looked for
    graveyard_interval: float = _knob(30.0)  # a push/pull with one of the dead; doubles per attempt, to 16 times
    call_interval: float = _knob(5.0)  # one of the dead is told so in a packet; if it lives, it objects at once

    # --- joining: seeds are asked until somebody is there, and again whenever one of them is missing ---
    join_backoff_min: float = _knob(1.0)
    join_backoff_max: float = _knob(60.0)
    rejoin_interval: float = _knob(60.0, _not_negative)  # +-20 %; 0: never again
    leave_timeout: float = _knob(20.0, _not_negative)  # bound of the wait for a goodbye to be sent

    # --- bounds ---
    max_members: int = _count(10_000)  # with the dead; the longest gone make room, then nobody else is let in
    handoff_queue: int = _count(1024)  # packets that may wait for the core; beyond, they are dropped and counted

    # --- leadership: renewed at a third of its length; an election after a crash takes about one lease ---
    lease: float = _knob(3.0)

    @property
    def vsn(self) -> bytes:
        """Our six versions: PMin, PMax, PCur, DMin, DMax, DCur."""
        return bytes((1, 5, SPOKEN, min(self.delegate_version, _SERF), self.delegate_version, self.delegate_version))

    @property
    def payload_budget(self) -> int:
        """Bytes of one packet that are left for messages."""
        label = _LABEL_HEADER + len(self.label.encode()) if self.label else 0
        return self.packet_budget - label - (_SEAL if self.sealed else 0) - _CRC

    def transmits(self, members: int) -> int:
        """How often a message is sent in all, in a ring of that many members."""
        return max(self.retransmit_floor, self.retransmit_mult * math.ceil(math.log10(members + 1)))

    def push_pull_every(self, members: int) -> float:
        """Seconds between two push/pulls in a ring of that many members."""
        scale = 1 if members <= 32 else math.ceil(math.log2(members) - 5) + 1
        return self.push_pull_interval * scale

    @classmethod
    def from_flags(cls, flags: Flags, *, sealed: bool = False) -> RingConfig:
        """The configuration that the command line asks for; a flag left alone has the default from above."""
        given = flags.ring_memberlist
        return cls(
            label=str(given["cluster-label"]),
            verify_label=not given["cluster-label-verification-disabled"],
            sealed=sealed,
            delegate_version=cast("int", given["delegate-version"]),
            **{field: cast("float", given[name]) for field, name in _FLAGGED.items()},  # type: ignore[arg-type]
        )


_FLAGGED = {
    "gossip_interval": "gossip-interval",
    "gossip_nodes": "gossip-nodes",
    "retransmit_mult": "retransmit-factor",
    "gossip_to_dead": "gossip-to-dead-nodes-time",
    "push_pull_interval": "pullpush-interval",
    "stream_timeout": "stream-timeout",
    "dead_reclaim": "dead-node-reclaim-time",
    "left_memory": "left-ingesters-timeout",
    "join_backoff_min": "min-join-backoff",
    "join_backoff_max": "max-join-backoff",
    "rejoin_interval": "rejoin-interval",
    "leave_timeout": "leave-timeout",
}
