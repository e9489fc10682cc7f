"""Every metric of the ring (guide, "Monitoring"): read from the node when they are asked for, and counted nowhere else.

Names and labels are the Go original's, and so is what counts as pushed and pulled: a push is a state received, a pull
one sent. Names of ours for what it does not have begin with `acme_manager_ring_`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from acme_manager.metrics import PREFIX

if TYPE_CHECKING:
    from acme_manager.ring.cluster import Ring

_RING = "acme-manager"  # the value of the label `name`
_LEADER, _FOLLOWER, _UNKNOWN = 1, 2, 0


class RingCollector(Collector):
    """All of them, for one registry."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    def describe(self) -> Iterable[Metric]:
        """Nothing: asking would mean collecting, before there is anything to collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """What they are now."""
        figures, members = self._ring.statistics(), self._ring.members()
        yield from _memberlist(figures)
        yield from _transport(figures["traffic"], figures["refusals"])
        yield from _members(members)
        yield from self._leadership(figures)
        yield from _own(figures)

    def _leadership(self, figures: Mapping[str, Any]) -> Iterator[Metric]:
        role = _LEADER if self._ring.leads() else _FOLLOWER if self._ring.leader() else _UNKNOWN
        yield _gauge("node_role", "1 leader, 2 follower, 0 no leader is known", role)
        yield _counter("ring_terms_begun", "Terms that this node has led", figures["terms_begun"])
        yield _counter("ring_terms_lost", "Terms of this node that have ended", figures["terms_lost"])
        yield _gauge("ring_voters", "Nodes whose majority counts", len(figures["voters"]))


def _memberlist(figures: Mapping[str, Any]) -> Iterator[Metric]:
    entries, exchanges, queue = figures["map"], figures["exchanges"], figures["queue"]
    census = figures["members"]

    def counter(name: str, help: str, value: float) -> Metric:
        return _counter(f"memberlist_client_{name}", help, value)

    def gauge(name: str, help: str, value: float) -> Metric:
        return _gauge(f"memberlist_client_{name}", help, value)

    tried, done = entries["writes_tried"], entries["writes_done"]
    yield counter("cas_attempt", "Writes to the shared map that were tried", tried)
    yield counter("cas_success", "Writes to the shared map that were made", done)
    yield counter("cas_failure", "Writes to the shared map that were refused", tried - done)
    yield gauge(
        "cluster_members_count", "Members that are alive or under suspicion", census["alive"] + census["suspect"]
    )
    yield gauge("cluster_node_health_score", "Health of this node, 0 is well", figures["health_score"])
    yield gauge("kv_store_count", "Keys in the shared map", sum(entries["keys"].values()))
    yield _labelled_gauge(
        "kv_keys",
        "Keys in the shared map by the first part of their name, deleted ones that are remembered included",
        ["type"],
        Counter(entries["keys"]) + Counter(entries["tombstones"]),
    )
    yield _labelled_gauge(
        "memberlist_client_kv_store_value_tombstones",
        "Deleted keys that are remembered",
        ["key"],
        dict.fromkeys(entries["keys"], 0) | entries["tombstones"],
    )
    yield _labelled_counter(
        "memberlist_client_kv_store_value_tombstones_removed",
        "Deleted keys that were forgotten",
        ["key"],
        dict.fromkeys(entries["keys"], 0) | entries["tombstones_removed"],
    )
    yield _labelled_gauge(
        "memberlist_client_messages_in_broadcast_queue", "Messages to gossip", ["queue"], {"gossip": queue["length"]}
    )
    yield _labelled_gauge(
        "memberlist_client_messages_in_broadcast_queue_bytes", "Their bytes", ["queue"], {"gossip": queue["bytes"]}
    )
    dropped = queue["dropped"] + figures["membership"]["user_refused"]
    yield counter("messages_to_broadcast_dropped", "Messages that were too many or too long to gossip", dropped)
    yield gauge(
        "pending_key_notifications", "Packets of changes that watchers have not been told of", entries["waiting"]
    )
    yield counter("received_broadcasts", "Packets of changes received", entries["received"])
    yield counter("received_broadcasts_bytes", "Their bytes", entries["received_bytes"])
    yield counter("received_broadcasts_dropped", "Of these, more than could be taken in", entries["dropped"])
    yield counter("received_broadcasts_invalid", "Of these, not understood", entries["invalid"])
    yield counter("state_pushes", "Full states of members received", exchanges["states_received"])
    yield counter("state_pushes_bytes", "Bytes about the shared map in them", exchanges["states_received_bytes"])
    yield counter("state_pulls", "Full states of members sent", exchanges["states_sent"])
    yield counter("state_pulls_bytes", "Bytes about the shared map in them", exchanges["states_sent_bytes"])


def _transport(traffic: Mapping[str, int], refusals: Mapping[str, int]) -> Iterator[Metric]:
    for name, help, value in (
        ("incoming_streams", "Connections accepted", traffic["streams_in"]),
        ("outgoing_streams", "Connections made", traffic["streams_out"]),
        ("packets_received", "Packets received", traffic["packets_in"]),
        ("packets_received_bytes", "Their bytes", traffic["bytes_in"]),
        ("packets_received_errors", "Packets that could not be read", refusals["bad"] + refusals["unauthenticated"]),
        ("packets_sent", "Packets sent", traffic["packets_out"]),
        ("packets_sent_bytes", "Their bytes", traffic["bytes_out"]),
        ("packets_sent_errors", "Packets that could not be sent", traffic["packet_errors"]),
        ("unknown_connections", "Connections that broke off or were not understood", traffic["streams_failed"]),
    ):
        yield _counter(f"memberlist_tcp_transport_{name}", f"{help} (packets are UDP)", value)


def _members(members: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    members = list(members)
    states = Counter((_RING, member["state"]) for member in members)
    oldest: dict[tuple[str, ...], float] = {}
    for member in members:
        if "heartbeat" in member:
            key, at = (_RING, member["state"]), member["heartbeat"].timestamp()
            oldest[key] = min(at, oldest.get(key, at))
    tokens = sum(len(member["tokens"]) for member in members)
    yield _labelled_gauge("ring_members", "Members by state", ["name", "state"], states)
    yield _labelled_gauge(
        "ring_oldest_member_timestamp", "Oldest heartbeat among the members of a state", ["name", "state"], oldest
    )
    yield _labelled_gauge("ring_tokens_total", "Tokens of all members", ["name"], {(_RING,): tokens})


def _own(figures: Mapping[str, Any]) -> Iterator[Metric]:
    name = {(_RING,)}
    owned = 1 + (figures["term"] is not None)
    for metric, help, value in (
        ("ring_member_tokens_owned", "Tokens of this node; the leader has token 0 besides its own", owned),
        ("ring_member_tokens_to_own", "Tokens that this node should have", owned),
    ):
        yield _labelled_gauge(metric, help, ["name"], dict.fromkeys(name, value))
    beats = dict.fromkeys(name, figures["heartbeats"])
    yield _labelled_counter("ring_member_heartbeats", "Heartbeats of this node", ["name"], beats)
    refusals, entries, traffic = figures["refusals"], figures["map"], figures["traffic"]
    yield _gauge(
        "ring_unencrypted",
        "1 if the ring has no key although other hosts can reach it",
        figures["unencrypted_and_reachable"],
    )
    for metric, help, value in (
        ("packets_unauthenticated", "Packets without a key or label of ours; dropped", refusals["unauthenticated"]),
        ("packets_bad", "Packets and streams that can't be read; dropped", refusals["bad"]),
        ("messages_unknown", "Messages of a kind that we don't know; dropped", refusals["unknown"]),
        ("streams_refused", "Connections above the bound; closed", traffic["streams_refused"]),
        ("exchanges_failed", "Connections to members that failed", figures["exchanges"]["failed"]),
        (
            "exchanges_dropped",
            "Connections to members not made, as too many were under way",
            figures["exchanges"]["dropped"],
        ),
        ("syncs", "Comparisons of the shared map with another node, done", entries["syncs"]),
        ("syncs_failed", "Comparisons of the shared map that broke off", entries["syncs_failed"]),
        (
            "entries_synced",
            "Entries of the shared map that came by comparison, not by gossip",
            entries["entries_synced"],
        ),
        ("probes_failed", "Members that answered no probe", figures["membership"]["probes_failed"]),
        ("suspicions", "Members that this node has suspected", figures["membership"]["suspicions"]),
        ("refutations", "Suspicions of this node that it has refuted", figures["membership"]["refutations"]),
        ("pauses", "Times that this process stood still for longer than a probe", figures["membership"]["pauses"]),
    ):
        yield _counter(f"ring_{metric}", help, value)


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", help, value)


def _counter(name: str, help: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", help, value)


def _labelled_gauge(name: str, help: str, labels: list[str], values: Mapping[Any, float]) -> Metric:
    return _filled(GaugeMetricFamily(f"{PREFIX}_{name}", help, labels=labels), values)


def _labelled_counter(name: str, help: str, labels: list[str], values: Mapping[Any, float]) -> Metric:
    return _filled(CounterMetricFamily(f"{PREFIX}_{name}", help, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[Any, float]) -> Metric:
    for labels, value in values.items():
        family.add_metric([labels] if isinstance(labels, str) else list(labels), value)
    return family
