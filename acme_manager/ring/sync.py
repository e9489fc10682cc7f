"""Delta sync: two nodes make their copies equal by moving what differs, in bounded requests and replies.

    initiator                                          responder
    Compare(2 KiB of digests, position)          ->
                                                 <-    Listing(keys and stamps of the buckets that differ)
    Exchange(what the other lacks, what I want)  ->
                                                 <-    Delivery(what was wanted)
    ... until nothing is left of that listing, then Compare from where it ended

The responder remembers nothing between requests, and both copies may change at any time: what a step misses, the next
sync finds. Breaking off loses nothing. When the summaries of two nodes differ, the one that began the exchange of
summaries starts. A node takes over a higher horizon only as initiator, so each must begin now and then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from acme_manager.ring.digest import bucket_of, differing, fingerprint
from acme_manager.ring.entries import ZERO, Entry, is_fact, key_size
from acme_manager.ring.store import ReplicatedMap, counts, forgotten
from acme_manager.ring.sync_messages import (
    BATCH,
    END,
    START,
    Compare,
    Delivery,
    Exchange,
    Known,
    Listing,
    Position,
    Reply,
    Request,
    Summary,
)
from acme_manager.ring.types import BadPacket

MAX_REQUESTS = 10_000  # more than a million certificates need; a peer that misbehaves can't keep us longer
MAX_WANTED = 512  # keys per request: about as many certificates as one reply holds
MAX_KNOWN = 1024  # entries per listing: each has to be hashed at both ends
_KNOWN_OVERHEAD = 32  # what a key costs besides its own bytes


def summary(copy: ReplicatedMap) -> Summary:
    """What to tell a peer in push/pull. There is something to sync when its root is not `copy.root()`."""
    return Summary(copy.root(), len(copy), copy.highest)


# --- the responder


def answer(copy: ReplicatedMap, request: Request, now: float) -> tuple[Reply, list[Entry]]:
    """The reply, and what has changed here: for watchers, not to be gossiped."""
    if isinstance(request, Compare):
        return _list(copy, request), []
    changes = copy.merge(request.entries, now, request.horizon)
    return _deliver(copy, request.wanted), changes


def _list(copy: ReplicatedMap, request: Compare) -> Listing:
    room, touched, known, entries = BATCH, list[int](), list[Known](), list[Entry]()
    for bucket, asker_has_none in differing(copy.digest.buckets(), request.digests):
        if bucket < request.after.bucket:
            continue
        touched.append(bucket)
        reached = max(request.after, Position(bucket, ""))
        for entry in copy.bucket(bucket):
            position = Position(bucket, entry.key)
            if position <= reached or (asker_has_none and not counts(entry)):
                continue
            room -= entry.size if asker_has_none else _KNOWN_OVERHEAD + key_size(entry.key)
            if room < 0 or len(known) == MAX_KNOWN:
                return Listing(copy.horizon, touched, known, entries, reached)
            if asker_has_none:
                entries.append(entry)
            else:
                known.append(_known(entry))
            reached = position
    return Listing(copy.horizon, touched, known, entries, END)


def _known(entry: Entry) -> Known:
    return Known(entry.key, entry.stamp, None if entry.value is None else fingerprint(entry) % 2**32)


def _deliver(copy: ReplicatedMap, wanted: Sequence[str]) -> Delivery:
    room, entries = BATCH, list[Entry]()
    for served, key in enumerate(wanted):
        entry = copy.entry(key)
        if entry is None:
            continue
        room -= entry.size
        if room < 0:
            return Delivery(copy.horizon, entries, served)
        entries.append(entry)
    return Delivery(copy.horizon, entries, len(wanted))


# --- the initiator


class Sync:
    """One sync as its initiator runs it: `start`, then `receive` with each reply until there is no further request."""

    def __init__(self) -> None:
        self._asked: Request | None = None
        self._requests = 0
        self._position = START
        self._horizon = ZERO  # the peer's
        self._verified = False
        self._lacking: deque[Entry] = deque()  # at the peer
        self._wanted: deque[str] = deque()

    def start(self, copy: ReplicatedMap) -> Request:
        """The first request."""
        return self._ask(Compare(copy.horizon, copy.digest.buckets(), START))

    def receive(self, copy: ReplicatedMap, reply: Reply, now: float) -> tuple[Request | None, list[Entry]]:
        """The next request, None at the end, and what has changed here: for watchers, not to be gossiped.

        Raises BadPacket for a reply to another question, or one that makes no progress: that is the end too.
        """
        asked, self._asked = self._asked, None
        if isinstance(asked, Compare) and isinstance(reply, Listing):
            changes = self._listed(copy, asked, reply, now)
        elif isinstance(asked, Exchange) and isinstance(reply, Delivery):
            changes = self._delivered(copy, asked, reply, now)
        else:
            raise BadPacket("this reply of delta sync answers a question that was not asked")
        return self._next(copy), changes

    def _listed(self, copy: ReplicatedMap, asked: Compare, reply: Listing, now: float) -> list[Entry]:
        if reply.until <= asked.after:
            raise BadPacket("a listing of delta sync makes no progress")
        self._position, self._horizon = reply.until, reply.horizon
        if asked.after == START and not reply.differing and copy.digest.buckets() == asked.digests:
            copy.adopt(reply.horizon)
        changes = copy.merge(reply.entries, now, reply.horizon)
        complete = [entry for entry in reply.entries if copy.entry(entry.key) is not entry]
        for known in (*reply.known, *map(_known, complete)):
            self._weigh(copy, known)
        theirs = {known.key for known in reply.known} | {entry.key for entry in reply.entries}
        gone: list[Entry] = []
        for entry in (entry for bucket in set(reply.differing) for entry in copy.bucket(bucket)):
            covered = asked.after < Position(bucket_of(entry.key), entry.key) <= reply.until
            if covered and entry.key not in theirs and counts(entry):
                is_gone = forgotten(entry.key, entry.stamp, here=reply.horizon, there=copy.horizon)
                (gone if is_gone else self._lacking).append(entry)
        return changes + copy.drop(gone)

    def _weigh(self, copy: ReplicatedMap, theirs: Known) -> None:
        """Find out who needs the other's entry under a key that the peer has; both, when a stamp was given twice."""
        mine = copy.entry(theirs.key)
        if mine is None:
            is_news = theirs.check is not None or not is_fact(theirs.key)
            if is_news and not forgotten(theirs.key, theirs.stamp, here=copy.horizon, there=self._horizon):
                self._wanted.append(theirs.key)
        elif _known(mine) != theirs:
            if theirs.stamp >= mine.stamp:
                self._wanted.append(theirs.key)
            if theirs.stamp <= mine.stamp:
                self._lacking.append(mine)

    def _delivered(self, copy: ReplicatedMap, asked: Exchange, reply: Delivery, now: float) -> list[Entry]:
        if not min(1, len(asked.wanted)) <= reply.served <= len(asked.wanted):
            raise BadPacket(f"a delivery of delta sync serves {reply.served} of {len(asked.wanted)} keys")
        for _ in range(reply.served):
            self._wanted.popleft()
        return copy.merge(reply.entries, now, reply.horizon)

    def _next(self, copy: ReplicatedMap) -> Request | None:
        if self._lacking or self._wanted:
            return self._ask(Exchange(copy.horizon, self._take_lacking(), list(islice(self._wanted, MAX_WANTED))))
        if self._position < END:
            return self._ask(Compare(copy.horizon, copy.digest.buckets(), self._position))
        if self._horizon > copy.horizon and not self._verified:
            self._verified = True
            return self.start(copy)
        return None

    def _take_lacking(self) -> list[Entry]:
        room, batch = BATCH, list[Entry]()
        while self._lacking and self._lacking[0].size <= room:
            batch.append(self._lacking.popleft())
            room -= batch[-1].size
        return batch

    def _ask(self, request: Request) -> Request:
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            raise BadPacket(f"a delta sync has not ended after {MAX_REQUESTS} requests")
        self._asked = request
        return request
