"""The replicated map: every node's copy of the shared state, as a pure core.

Per key the entry with the highest stamp wins, so copies that have seen the same entries are equal, in whatever order
and however often those came. A deletion leaves a tombstone, which wins over what was there before.

Tombstones can't stay for ever, and when they are gone an old entry looks like a new one. So the leader moves the
`horizon` now and then: the stamp up to which deletions are forgotten, because the last of them is a day old. From then
on "not there" means "deleted, or never written" for every stamp up to the horizon. A node takes a horizon over only in
the moment in which its copy is equal to that of a node that has it (see sync.py). So what lies below a node's horizon
is complete, and an unknown entry from there is believed only when it comes from a node whose horizon is as high. A node
that was away for longer than tombstones last has a lower one: it can't bring back what was deleted meanwhile, and drops
it when it syncs. What it alone knew from below the horizon is dropped as well; if it matters it is in storage, from
where the leader's reconciliation puts it back.

Facts about members (see entries.py) know no horizon. Each node forgets their tombstones by itself, and they are not
part of the digest; a fact that comes back is about a member that is no longer there, which readers see from membership.
"""

from __future__ import annotations

from collections.abc import Iterable

from acme_manager.errors import NotLeader
from acme_manager.ring.digest import BUCKETS, Digest, bucket_of
from acme_manager.ring.entries import ZERO, Entry, Stamp, is_fact

TOMBSTONE_LIFE = 24 * 3600.0  # seconds; how long a node may be away and still be told what was deleted


class ReplicatedMap:
    """A copy. `version` grows with every change, `highest` is the highest stamp seen that a leader has given."""

    def __init__(self) -> None:
        self.version = 0
        self.highest = ZERO
        self.horizon = ZERO
        self.digest = Digest()
        self._buckets: tuple[dict[str, Entry], ...] = tuple({} for _ in range(BUCKETS))
        self._tombstones: dict[str, float] = {}  # since when, the oldest first
        self._size = 0

    def __len__(self) -> int:
        """How many entries there are, tombstones included."""
        return self._size

    # --- reading

    def get(self, key: str) -> bytes | None:
        """The value under a key; None when it was deleted or never written."""
        entry = self.entry(key)
        return entry.value if entry else None

    def entry(self, key: str) -> Entry | None:
        """What is known about a key, which may be a tombstone."""
        return self._buckets[bucket_of(key)].get(key)

    def items(self, prefix: str = "") -> list[tuple[str, bytes]]:
        """Every key below a prefix that has a value, in no order."""
        return [
            (entry.key, entry.value)
            for bucket in self._buckets
            for entry in bucket.values()
            if entry.value is not None and entry.key.startswith(prefix)
        ]

    def bucket(self, number: int) -> list[Entry]:
        """The entries of one bucket of the digest in the order of their keys, tombstones included."""
        bucket = self._buckets[number]
        return [bucket[key] for key in sorted(bucket)]

    def root(self) -> bytes:
        """Eight bytes that are equal on nodes with equal copies."""
        return self.digest.root(self.horizon)

    # --- writing

    def next_stamp(self, term: int) -> Stamp:
        """The stamp of a leader's next write. Raises NotLeader when a later leader has written already."""
        if term < self.highest.term:
            raise NotLeader(f"term {term} is over: there are writes of term {self.highest.term}")
        return Stamp(term, self.highest.sequence + 1)

    def next_fact_stamp(self, key: str, starts: int) -> Stamp:
        """The stamp of the next write to one of a member's own keys, in that start of the member.

        It wins over what an earlier life has left behind, also when the counter of starts went backwards.
        """
        known = self.entry(key)
        if known is None or known.stamp.term < starts:
            return Stamp(starts, 1)
        return Stamp(known.stamp.term, known.stamp.sequence + 1)

    def put(self, key: str, value: bytes, stamp: Stamp, now: float) -> Entry:
        """Write, and return what to gossip. Raises ValueError beyond the limits, and for a stamp that loses."""
        return self._write(Entry(key, stamp, value), now)

    def remove(self, key: str, stamp: Stamp, now: float) -> Entry:
        """Delete, and return the tombstone to gossip. Raises ValueError as `put` does. The key may be unknown."""
        return self._write(Entry(key, stamp, None), now)

    def _write(self, entry: Entry, now: float) -> Entry:
        if not self.merge([entry], now):
            raise ValueError(f"the write to {entry.key!r} is stamped {entry.stamp}, which is older than what is known")
        return entry

    def merge(self, entries: Iterable[Entry], now: float, horizon: Stamp = ZERO) -> list[Entry]:
        """Take in what is news, and return that: to tell watchers, and to gossip on when it came by gossip.

        `horizon` is that of the node that says so; gossip has none.
        """
        return [entry for entry in entries if self._take(entry, now, horizon)]

    def _take(self, entry: Entry, now: float, horizon: Stamp) -> bool:
        known = self.entry(entry.key)
        if known is None:
            if forgotten(entry.key, entry.stamp, here=self.horizon, there=horizon):
                return False
        elif not entry.supersedes(known):
            return False
        else:
            self._discard(known)
        self._add(entry, now)
        return True

    def drop(self, entries: Iterable[Entry]) -> list[Entry]:
        """Forget entries without a trace. Returns a tombstone, for watchers only, for each that had a value."""
        dropped = [entry for entry in entries if self.entry(entry.key) is entry]
        for entry in dropped:
            self._discard(entry)
        return [Entry(entry.key, entry.stamp, None) for entry in dropped if entry.value is not None]

    def _add(self, entry: Entry, now: float) -> None:
        self._buckets[bucket_of(entry.key)][entry.key] = entry
        self._size += 1
        self.version += 1
        if entry.value is None:
            self._tombstones[entry.key] = now
        if not is_fact(entry.key):
            self.highest = max(self.highest, entry.stamp)
        if counts(entry):
            self.digest.add(entry)

    def _discard(self, entry: Entry) -> None:
        del self._buckets[bucket_of(entry.key)][entry.key]
        self._size -= 1
        self.version += 1
        self._tombstones.pop(entry.key, None)
        if counts(entry):
            self.digest.discard(entry)

    # --- forgetting

    def adopt(self, horizon: Stamp) -> None:
        """Take over the horizon of a node whose copy is equal to this one right now."""
        if horizon > self.horizon:
            self.horizon = horizon
            self.highest = max(self.highest, horizon)
            self.version += 1

    def expire(self, now: float, *, leading: bool, limit: int = 1000) -> int:
        """Forget tombstones that are a day old here, at most so many, and return how many.

        `leading`: this node leads and has reconciled its copy with storage in this term. Then the horizon moves, and
        the others follow as they sync. Tombstones of facts need no leader.
        """
        old = [key for key, since in self._tombstones.items() if now >= since + TOMBSTONE_LIFE]
        expired = [key for key in old if is_fact(key)][:limit]
        if leading and len(expired) < min(len(old), limit):
            deletions = self._deletions_until(now, limit - len(expired))
            if deletions and deletions[-1].stamp > self.horizon:
                self.adopt(deletions[-1].stamp)
                expired += [entry.key for entry in deletions]
        self.drop([entry for key in expired if (entry := self.entry(key))])
        return len(expired)

    def _deletions_until(self, now: float, limit: int) -> list[Entry]:
        """The leader's deletions in their order, up to the first that is too young to forget."""
        deletions = sorted(
            (entry for key in self._tombstones if (entry := self.entry(key)) and not is_fact(key)),
            key=lambda entry: entry.stamp,
        )
        young = (n for n, entry in enumerate(deletions) if now < self._tombstones[entry.key] + TOMBSTONE_LIFE)
        return deletions[: min(next(young, limit), limit)]


def counts(entry: Entry) -> bool:
    """Whether an entry is part of the digest: all but the tombstones of facts, which each node forgets by itself."""
    return entry.value is not None or not is_fact(entry.key)


def forgotten(key: str, stamp: Stamp, *, here: Stamp, there: Stamp) -> bool:
    """Whether a node with horizon `here` and nothing under a key had it deleted, while a node with `there` has it."""
    return not is_fact(key) and there < here and stamp <= here
