"""What holds of the shared map, whatever is written, lost, delivered twice, cut off and brought back."""

from __future__ import annotations

from itertools import permutations
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from acme_manager.ring import sync as sync_module
from acme_manager.ring.digest import Digest
from acme_manager.ring.entries import Entry, Stamp, is_fact
from acme_manager.ring.store import TOMBSTONE_LIFE, ReplicatedMap, counts
from tests.parts.copies import assert_equal, everything, sync, write

stamps = st.builds(Stamp, st.integers(0, 3), st.integers(0, 5))
keys = st.sampled_from(["certificate/a", "certificate/b", "token/a", "leader", "member/a/url", "member/b/url"])
entries = st.builds(Entry, keys, stamps, st.none() | st.binary(max_size=2))
batches = st.lists(entries, max_size=12)
horizons = st.just(Stamp(0, 0)) | stamps


def copy_of(*batches: list[Entry], horizon: Stamp = Stamp(0, 0)) -> ReplicatedMap:  # noqa: B008 it is frozen
    copy = ReplicatedMap()
    copy.adopt(horizon)
    for batch in batches:
        copy.merge(batch, 0.0)
    return copy


def content(copy: ReplicatedMap) -> set[Entry]:
    return set(everything(copy))


@given(batches, horizons)
def test_merging_twice_changes_nothing(batch: list[Entry], horizon: Stamp) -> None:
    copy = copy_of(batch, horizon=horizon)
    version, root = copy.version, copy.root()
    assert copy.merge(batch, 1.0) == []
    assert copy.merge(everything(copy), 1.0) == []
    assert (copy.version, copy.root()) == (version, root)


@given(batches, st.randoms(use_true_random=False), horizons)
def test_the_order_of_entries_does_not_matter(batch: list[Entry], random: object, horizon: Stamp) -> None:
    shuffled = list(batch)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert content(copy_of(batch, horizon=horizon)) == content(copy_of(shuffled, horizon=horizon))


@given(batches, batches, batches)
def test_merging_is_associative(one: list[Entry], two: list[Entry], three: list[Entry]) -> None:
    left = copy_of(everything(copy_of(one, two)), three)
    right = copy_of(one, everything(copy_of(two, three)))
    assert content(left) == content(right)
    assert left.root() == right.root()


@given(batches)
def test_the_change_is_all_that_another_copy_needs(batch: list[Entry]) -> None:
    copy = ReplicatedMap()
    assert content(copy_of(copy.merge(batch, 0.0))) == content(copy)


@given(entries, entries)
def test_of_two_writes_to_one_key_exactly_one_wins(one: Entry, other: Entry) -> None:
    other = Entry(one.key, other.stamp, other.value)
    assert [one.supersedes(other), other.supersedes(one)].count(True) == (one != other)


@given(st.lists(batches, max_size=4))
def test_the_digest_follows_every_change(steps: list[list[Entry]]) -> None:
    copy = copy_of(*steps)
    fresh = Digest()
    for entry in filter(counts, everything(copy)):
        fresh.add(entry)
    assert fresh.buckets() == copy.digest.buckets()
    assert len(copy) == len(everything(copy))


@given(batches, batches, st.sampled_from([120, 300, 10_000]), st.lists(st.integers(1, 4), max_size=3))
def test_any_two_copies_are_equal_after_a_sync_however_often_it_broke_off(
    mine: list[Entry], theirs: list[Entry], batch: int, breaks: list[int]
) -> None:
    one, other = copy_of(mine), copy_of(theirs)
    with mock.patch.object(sync_module, "BATCH", batch), mock.patch.object(sync_module, "MAX_WANTED", 2):
        for requests in breaks:
            sync(one, other, cut_after=requests)
        sync(one, other)
        assert_equal(one, other)
        assert sync(one, other).requests == 1
    reference = copy_of(mine, theirs)
    assert_equal(one, reference)


class Ring(RuleBasedStateMachine):
    """Three nodes and a storage. Any node may come to lead, one may be cut off, and what gossip loses is random."""

    nodes = st.integers(0, 2)
    groups = st.sets(nodes)
    names = st.sampled_from(["certificate/a", "certificate/b", "token/a"])

    def __init__(self) -> None:
        super().__init__()
        self.copies = [ReplicatedMap() for _ in range(3)]
        self.starts = [1, 1, 1]
        self.storage: dict[str, bytes] = {}
        self.term, self.leader = 1, 0
        self.away: int | None = None
        self.writes = 0
        self.now = 0.0

    @rule(node=nodes)
    def lead(self, node: int) -> None:
        if node != self.away:
            self.term, self.leader = self.term + 1, node

    @rule(node=st.none() | nodes)
    def cut_off(self, node: int | None) -> None:
        """One node is alone, and can't lead. None: everyone can talk again."""
        self.away = node
        if self.leader == node:
            self.term, self.leader = self.term + 1, (node + 1) % 3

    @rule(key=names, heard=groups)
    def put(self, key: str, heard: set[int]) -> None:
        self.writes += 1
        self.storage[key] = b"%d" % self.writes
        self._write(key, self.storage[key], heard)

    @rule(key=names, heard=groups)
    def remove(self, key: str, heard: set[int]) -> None:
        self.storage.pop(key, None)
        self._write(key, None, heard)

    def _write(self, key: str, value: bytes | None, heard: set[int]) -> None:
        self._gossip(self.leader, heard, [write(self.copies[self.leader], key, value, self.term, self.now)])

    def _gossip(self, teller: int, hearers: set[int], entries: list[Entry]) -> None:
        for hearer in hearers:
            if self.away not in {teller, hearer}:
                self.copies[hearer].merge(entries, self.now)

    @rule(node=nodes, heard=groups)
    def tell_a_fact(self, node: int, heard: set[int]) -> None:
        self.writes += 1
        key, copy = f"member/{node}/url", self.copies[node]
        stamp = copy.next_fact_stamp(key, self.starts[node])
        self._gossip(node, heard, [copy.put(key, b"%d" % self.writes, stamp, self.now)])

    @rule(node=nodes, heard=groups)
    def remove_a_fact(self, node: int, heard: set[int]) -> None:
        key, copy = f"member/{node}/url", self.copies[self.leader]
        self._gossip(self.leader, heard, [copy.remove(key, copy.next_fact_stamp(key, 0), self.now)])

    @rule(teller=nodes, hearers=groups)
    def gossip_again(self, teller: int, hearers: set[int]) -> None:
        self._gossip(teller, hearers, everything(self.copies[teller]))

    @rule(one=nodes, other=nodes, requests=st.sampled_from([1, 2, 100, 100]))
    def sync(self, one: int, other: int, requests: int) -> None:
        if self.away not in {one, other}:
            with mock.patch.object(sync_module, "BATCH", 120):
                sync(self.copies[one], self.copies[other], self.now, cut_after=requests)

    @rule(hours=st.sampled_from([1, 25]), limit=st.sampled_from([1, 100]), reconciled=st.booleans())
    def time_passes(self, hours: int, limit: int, reconciled: bool) -> None:
        self.now += hours * 3600
        if reconciled:
            self._reconcile()
        for number, copy in enumerate(self.copies):
            copy.expire(self.now, leading=reconciled and number == self.leader, limit=limit)

    @rule(node=nodes, key=names)
    def be_away_for_a_day(self, node: int, key: str) -> None:
        """What the horizon is for, and what single steps come to too rarely."""
        self.cut_off(node)
        self.remove(key, {0, 1, 2})
        self.time_passes(25, 100, reconciled=True)
        self.cut_off(None)

    def _reconcile(self) -> None:
        """What a leader does after its election, and now and then: storage is the truth."""
        copy = self.copies[self.leader]
        held = self._held(copy)
        for key in held.keys() - self.storage.keys():
            write(copy, key, None, self.term, self.now)
        for key, value in self.storage.items() - held.items():
            write(copy, key, value, self.term, self.now)

    def _held(self, copy: ReplicatedMap) -> dict[str, bytes]:
        return {key: value for key, value in copy.items() if not is_fact(key)}

    def teardown(self) -> None:
        self._all_talk()
        self._check(self._held(self.copies[0]))
        self._reconcile()
        self._all_talk()
        assert self._held(self.copies[0]) == self.storage

    def _all_talk(self) -> None:
        for _ in range(2):
            for one, other in permutations(self.copies, 2):
                sync(one, other, self.now)
        assert_equal(*self.copies)
        assert all(sync(one, other, self.now).requests == 1 for one, other in permutations(self.copies, 2))

    def _check(self, held: dict[str, bytes]) -> None:
        assert held.items() <= self.storage.items(), "something deleted or replaced came back"


class ForgetfulRing(Ring):
    """The same with nodes that lose their memory: who alone knew of a deletion may forget it."""

    @rule(node=Ring.nodes)
    def restart(self, node: int) -> None:
        self.copies[node] = ReplicatedMap()
        self.starts[node] += 1

    def _check(self, held: dict[str, bytes]) -> None:
        pass


TestRing = Ring.TestCase
TestForgetfulRing = ForgetfulRing.TestCase
TestRing.settings = settings(max_examples=300, stateful_step_count=30)
TestForgetfulRing.settings = settings(max_examples=100, stateful_step_count=30)


def test_a_node_that_was_away_for_days_brings_nothing_back() -> None:
    here, away = ReplicatedMap(), ReplicatedMap()
    write(here, "certificate/kept", b"1")
    write(here, "certificate/deleted", b"1")
    sync(away, here)
    write(here, "certificate/deleted", None)
    assert here.expire(TOMBSTONE_LIFE, leading=True) == 1
    assert len(here) == 1

    assert here.merge(everything(away), TOMBSTONE_LIFE) == []
    assert sync(here, away, TOMBSTONE_LIFE).here == []
    assert [entry.key for entry in sync(away, here, TOMBSTONE_LIFE).here] == ["certificate/deleted"]
    assert_equal(here, away)
    assert away.horizon == here.horizon
