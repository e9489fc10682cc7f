"""Numbers about a node's part in the ring, gathered from all its parts: for `/memberlist`, and for metrics.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from acme_manager.ring.digest import BUCKETS

if TYPE_CHECKING:
    from acme_manager.ring.node import Node
    from acme_manager.ring.store import ReplicatedMap


@attrs.frozen
class MapSizes:
    """How many keys the map has, and how many tombstones, by the first part of the key."""

    keys: Mapping[str, int]
    tombstones: Mapping[str, int]


def sizes_of(copy: ReplicatedMap) -> MapSizes:
    """Count: one pass over everything, some milliseconds for ten thousand keys."""
    entries = [entry for bucket in range(BUCKETS) for entry in copy.bucket(bucket)]
    return MapSizes(
        _by_kind(entry.key for entry in entries if entry.value is not None),
        _by_kind(entry.key for entry in entries if entry.value is None),
    )


def _by_kind(keys: Iterable[str]) -> Mapping[str, int]:
    return Counter(key.partition("/")[0] for key in keys)


def statistics_of(node: Node) -> Mapping[str, Any]:
    """A snapshot. Counters run since the start of the process; sizes are bytes unless they are named otherwise."""
    membership = node.swim.core.statistics()
    sizes = sizes_of(node.replica.copy)
    return {
        "ready": node.ready.is_set(),
        "encrypted": node.wire.envelope.keyring is not None,
        "unencrypted_and_reachable": node.is_open,
        "term": node.leading.term(),
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
            "keys": dict(sizes.keys),
            "tombstones": dict(sizes.tombstones),
            "tombstones_removed": dict(node.tombstones_removed),
            "waiting": node.replica.waiting,
            **attrs.asdict(node.replica.tally),
        },
        "exchanges": attrs.asdict(node.swim.exchanges),
        "traffic": attrs.asdict(node.transport.traffic),
        "refusals": {**attrs.asdict(node.wire.refusals), "unknown": node.unknown_messages},
    }
