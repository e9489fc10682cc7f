"""Copies of the shared map, and syncs between them as they'd go over the wire."""

from __future__ import annotations

import attrs

from acme_manager.ring.entries import ZERO, Entry
from acme_manager.ring.store import ReplicatedMap
from acme_manager.ring.sync import Sync, answer
from acme_manager.ring.sync_messages import Request, encode, parse_untrusted_reply, parse_untrusted_request


@attrs.define
class Traffic:
    """What a sync has cost and changed. `moved` and `largest` are bytes of message bodies, both ways."""

    moved: int = 0
    largest: int = 0
    requests: int = 0
    here: list[Entry] = attrs.field(factory=list)
    there: list[Entry] = attrs.field(factory=list)

    def count(self, body: bytes) -> bytes:
        self.moved += len(body)
        self.largest = max(self.largest, len(body))
        return body


def sync(initiator: ReplicatedMap, responder: ReplicatedMap, now: float = 0.0, *, cut_after: int = 10_000) -> Traffic:
    """Run one sync to its end, or to where the connection breaks: after so many requests."""
    traffic = Traffic()
    course = Sync()
    request: Request | None = course.start(initiator)
    while request is not None and traffic.requests < cut_after:
        traffic.requests += 1
        heard = parse_untrusted_request(traffic.count(encode(request)))
        reply, there = answer(responder, heard, now)
        read = parse_untrusted_reply(traffic.count(encode(reply)))
        request, here = course.receive(initiator, read, now)
        traffic.here += here
        traffic.there += there
    return traffic


def write(copy: ReplicatedMap, key: str, value: bytes | None, term: int = 1, now: float = 0.0) -> Entry:
    """Write as the leader of a term."""
    stamp = copy.next_stamp(term)
    return copy.remove(key, stamp, now) if value is None else copy.put(key, value, stamp, now)


def everything(copy: ReplicatedMap) -> list[Entry]:
    """All entries, tombstones included."""
    return [entry for number in range(256) for entry in copy.bucket(number)]


def assert_equal(*copies: ReplicatedMap) -> None:
    """The copies hold the same, and their digests say so."""
    assert len({copy.root() for copy in copies}) == 1
    assert len({copy.horizon for copy in copies}) == 1
    first, *others = (dict(copy.items()) for copy in copies)
    assert all(other == first for other in others)


def filled(count: int, value_size: int = 600) -> ReplicatedMap:
    """A copy with so many certificates."""
    copy = ReplicatedMap()
    for number in range(count):
        name = f"certificate/letsencrypt/team-{number % 40:02}/host-{number:06}.example.com"
        write(copy, name, number.to_bytes(4) * (value_size // 4))
    assert copy.horizon == ZERO
    return copy
