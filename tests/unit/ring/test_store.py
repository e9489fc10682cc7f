"""The replicated map: reading, writing, stamps and forgetting."""

from __future__ import annotations

import tracemalloc

import pytest

from acme_manager.errors import NotLeader
from acme_manager.ring.entries import ZERO, Entry, Stamp
from acme_manager.ring.store import TOMBSTONE_LIFE, ReplicatedMap
from tests.parts.copies import everything, filled, write

DAY = TOMBSTONE_LIFE


def test_what_is_written_is_read_until_it_is_removed() -> None:
    copy = ReplicatedMap()
    assert copy.get("certificate/a") is None
    write(copy, "certificate/a", b"1")
    write(copy, "certificate/a", b"2")
    write(copy, "token/a", b"")
    assert copy.get("certificate/a") == b"2"
    assert copy.get("token/a") == b""
    assert dict(copy.items("certificate/")) == {"certificate/a": b"2"}
    write(copy, "certificate/a", None)
    assert copy.get("certificate/a") is None
    assert dict(copy.items()) == {"token/a": b""}
    assert len(copy) == 2


def test_items_may_be_gone_through_while_the_map_changes() -> None:
    copy = filled(3)
    for key, value in copy.items():
        assert value
        write(copy, key, None)
    assert copy.items() == []


def test_every_change_and_only_a_change_raises_the_version() -> None:
    copy = ReplicatedMap()
    entry = write(copy, "certificate/a", b"1")
    version = copy.version
    assert copy.merge([entry], 0.0) == []
    assert copy.version == version
    write(copy, "certificate/a", None)
    assert copy.version > version


def test_a_leader_stamps_above_all_that_it_has_seen() -> None:
    copy = ReplicatedMap()
    copy.merge([Entry("certificate/a", Stamp(3, 70), b""), Entry("member/n/url", Stamp(9, 900), b"")], 0.0)
    assert copy.highest == Stamp(3, 70)
    assert copy.next_stamp(3) == Stamp(3, 71)
    assert copy.next_stamp(4) == Stamp(4, 71)
    copy.adopt(Stamp(3, 80))
    assert copy.next_stamp(4) == Stamp(4, 81)


def test_a_leader_whose_term_is_over_can_not_stamp() -> None:
    copy = ReplicatedMap()
    write(copy, "certificate/a", b"", term=3)
    with pytest.raises(NotLeader, match="term 2 is over: there are writes of term 3"):
        copy.next_stamp(2)


def test_a_member_stamps_above_its_earlier_lives() -> None:
    copy, key = ReplicatedMap(), "member/n/url"
    assert copy.next_fact_stamp(key, 5) == Stamp(5, 1)
    copy.put(key, b"1", Stamp(5, 1), 0.0)
    assert copy.next_fact_stamp(key, 5) == Stamp(5, 2)
    assert copy.next_fact_stamp(key, 6) == Stamp(6, 1)
    assert copy.next_fact_stamp(key, 4) == Stamp(5, 2)


def test_a_write_that_would_lose_is_a_mistake() -> None:
    copy = ReplicatedMap()
    copy.put("certificate/a", b"1", Stamp(2, 1), 0.0)
    with pytest.raises(ValueError, match="older than what is known"):
        copy.put("certificate/a", b"2", Stamp(1, 1), 0.0)
    with pytest.raises(ValueError, match="older than what is known"):
        copy.remove("certificate/a", Stamp(1, 1), 0.0)
    assert copy.get("certificate/a") == b"1"


def test_a_deletion_of_something_unknown_keeps_it_out_when_it_comes_late() -> None:
    here, there = ReplicatedMap(), ReplicatedMap()
    late = write(there, "certificate/a", b"1")
    deletion = write(there, "certificate/a", None)
    assert here.merge([deletion], 0.0) == [deletion]
    assert here.merge([late], 1.0) == []
    assert here.get("certificate/a") is None


@pytest.mark.parametrize(
    ("winner", "loser"), [(None, b"z"), (b"b", b"a"), (b"aa", b"a")], ids=["deletion", "larger", "longer"]
)
def test_when_a_stamp_was_given_twice_all_decide_alike(winner: bytes | None, loser: bytes | None) -> None:
    pair = [Entry("certificate/a", Stamp(1, 1), value) for value in (winner, loser)]
    for order in (pair, pair[::-1]):
        copy = ReplicatedMap()
        copy.merge(order, 0.0)
        assert everything(copy) == pair[:1]


# --- forgetting


def _with_deletions(*times: float) -> ReplicatedMap:
    copy = ReplicatedMap()
    for number, at in enumerate(times):
        write(copy, f"certificate/{number}", b"1", now=at)
        write(copy, f"certificate/{number}", None, now=at)
    return copy


def test_a_leader_forgets_deletions_when_they_are_a_day_old() -> None:
    copy = _with_deletions(0.0, 60.0)
    assert copy.expire(DAY - 1, leading=True) == 0
    assert copy.expire(DAY, leading=True) == 1
    assert len(copy) == 1
    assert copy.horizon == Stamp(1, 2)
    assert copy.expire(DAY + 60, leading=True) == 1
    assert (len(copy), copy.horizon) == (0, Stamp(1, 4))


def test_nobody_else_forgets_a_deletion_of_the_leader() -> None:
    copy = _with_deletions(0.0)
    assert copy.expire(30 * DAY, leading=False) == 0
    assert (len(copy), copy.horizon) == (1, ZERO)


def test_one_round_of_forgetting_is_bounded() -> None:
    copy = _with_deletions(*[0.0] * 10)
    assert [copy.expire(DAY, leading=True, limit=4) for _ in range(4)] == [4, 4, 2, 0]


def test_the_horizon_does_not_pass_a_deletion_that_came_late() -> None:
    author = _with_deletions(0.0, 0.0)
    first, second = sorted(everything(author), key=lambda entry: entry.stamp)
    copy = ReplicatedMap()
    copy.merge([second], 0.0)
    copy.merge([first], 60.0)
    assert copy.expire(DAY, leading=True) == 0
    assert copy.expire(DAY + 60, leading=True) == 2


def test_writing_a_deleted_key_again_ends_its_tombstone() -> None:
    copy = _with_deletions(0.0)
    write(copy, "certificate/0", b"2", now=10.0)
    assert copy.expire(DAY, leading=True) == 0
    write(copy, "certificate/0", None, now=20.0)
    assert copy.expire(DAY + 10, leading=True) == 0
    assert copy.expire(DAY + 20, leading=True) == 1


def test_below_the_horizon_an_unknown_entry_is_believed_only_from_a_node_that_has_it_too() -> None:
    copy = _with_deletions(0.0)
    copy.expire(DAY, leading=True)
    old = Entry("certificate/x", Stamp(1, 1), b"old")
    assert copy.merge([old], DAY) == []
    assert copy.merge([old], DAY, Stamp(1, 1)) == []
    assert copy.merge([old], DAY, copy.horizon) == [old]
    new = Entry("certificate/y", Stamp(1, 3), b"new")
    assert copy.merge([new], DAY) == [new]


def test_below_the_horizon_a_known_entry_is_still_replaced_by_a_newer_one() -> None:
    copy = ReplicatedMap()
    copy.merge([Entry("certificate/a", Stamp(1, 1), b"1")], 0.0)
    copy.adopt(Stamp(1, 9))
    deletion = Entry("certificate/a", Stamp(1, 5), None)
    assert copy.merge([deletion], 0.0) == [deletion]
    assert copy.expire(DAY, leading=True) == 0, "to forget it alone would tell it from the other copies"


def test_deletions_of_facts_are_forgotten_by_each_node_and_change_no_digest() -> None:
    copy, key = ReplicatedMap(), "member/n/url"
    empty = copy.root()
    copy.put(key, b"1", Stamp(1, 1), 0.0)
    assert copy.root() != empty
    copy.remove(key, copy.next_fact_stamp(key, 0), 0.0)
    assert copy.root() == empty
    assert copy.merge([Entry(key, Stamp(1, 1), b"1")], 0.0) == []
    assert copy.expire(DAY - 1, leading=False) == 0
    assert copy.expire(DAY, leading=False) == 1
    assert (len(copy), copy.horizon) == (0, ZERO)


def test_what_is_dropped_leaves_no_trace_and_watchers_hear_of_it() -> None:
    copy = ReplicatedMap()
    empty = copy.root()
    live = write(copy, "certificate/a", b"1")
    deletion = write(copy, "certificate/b", None)
    assert copy.drop([live, deletion]) == [Entry("certificate/a", live.stamp, None)]
    assert copy.drop([live]) == []
    assert (len(copy), copy.root()) == (0, empty)


def test_twenty_thousand_certificates_take_well_under_sixty_megabytes() -> None:
    tracemalloc.start()
    try:
        copy = filled(5000)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(copy) == 5000
    assert held * 4 < 30e6
