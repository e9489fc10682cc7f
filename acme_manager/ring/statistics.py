"""Numbers about a node's part in the ring, gathered from all its parts: for `/memberlist`, and for metrics.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from acme_manager.ring.node import Node


def statistics_of(node: Node) -> Mapping[str, Any]:
    """A snapshot. Counters run since the start of the process; sizes are bytes unless they are named otherwise."""
    membership = node.swim.core.statistics()
    copy, fence = node.replica.copy, node.fence
    return {
        "ready": node.ready.is_set(),
        "encrypted": node.wire.envelope.keyring is not None,
        "unencrypted_and_reachable": node.is_open,
        "term": node.leading.term(),
        "leader_term": fence.term if fence is not None else None,
        "leader_since": fence.since if fence is not None else None,
        "terms_begun": node.leading.terms_begun,
        "terms_lost": node.leading.terms_lost,
        "voters": list(node.voters),
        "heartbeats": node.heartbeats,
        "members": attrs.asdict(membership.members),
        "health_score": membership.health_score,
        "queue": {
            "length": membership.queued,
            "bytes": membership.queued_bytes,
            "dropped": membership.dropped,
        },
        "membership": attrs.asdict(membership.counts),
        "map": {
            "keys": dict(copy.sizes),
            "tombstones": dict(copy.deleted),
            "tombstones_removed": dict(node.tombstones_removed),
            "waiting": node.replica.waiting,
            **attrs.asdict(node.replica.tally),
        },
        "exchanges": attrs.asdict(node.swim.exchanges),
        "traffic": attrs.asdict(node.transport.traffic),
        "refusals": {**attrs.asdict(node.wire.refusals), "unknown": node.unknown_messages},
    }
