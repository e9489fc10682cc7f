"""Delta sync: what it moves, what it refuses, and that it ends."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.ring import sync as sync_module
from acme_manager.ring.digest import SIZE, bucket_of
from acme_manager.ring.entries import MAX_MESSAGE, ZERO, Entry, Stamp
from acme_manager.ring.store import TOMBSTONE_LIFE, ReplicatedMap
from acme_manager.ring.sync import Sync, answer, summary
from acme_manager.ring.sync_messages import (
    BATCH,
    END,
    START,
    Compare,
    Delivery,
    Exchange,
    Listing,
    Position,
    Request,
    Summary,
    encode,
    parse_untrusted_reply,
    parse_untrusted_request,
    parse_untrusted_summary,
)
from acme_manager.ring.types import BadPacket
from tests.parts.copies import assert_equal, everything, filled, sync, write

DAY = TOMBSTONE_LIFE


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "BATCH", 400)
    monkeypatch.setattr(sync_module, "MAX_WANTED", 3)


def _twins(count: int) -> tuple[ReplicatedMap, ReplicatedMap]:
    one, other = filled(count, 60), ReplicatedMap()
    other.merge(everything(one), 0.0)
    return one, other


def test_a_summary_is_small_and_says_whether_two_copies_are_equal() -> None:
    one, other = _twins(100)
    body = encode(summary(one))
    assert len(body) <= 49
    assert parse_untrusted_summary(body) == summary(one) == Summary(other.root(), 100, Stamp(1, 100))
    write(other, "token/a", b"")
    assert parse_untrusted_summary(body).root != other.root()
    assert len(encode(Summary(bytes(8), 2**53 - 1, Stamp(2**53 - 1, 2**53 - 1)))) <= 49


def test_equal_copies_have_nothing_to_say() -> None:
    traffic = sync(*_twins(500))
    assert (traffic.requests, traffic.here, traffic.there) == (1, [], [])
    assert traffic.moved < SIZE + 100


def test_only_what_differs_moves_and_in_both_directions() -> None:
    one, other = _twins(2000)
    mine = [write(one, "token/mine", b"m" * 100), write(one, "certificate/deleted", None)]
    keys = [key for key, _ in one.items("certificate/")][:5]
    theirs = [write(other, key, b"newer", term=2) for key in keys]
    traffic = sync(one, other)
    assert_equal(one, other)
    assert sorted(traffic.here, key=lambda entry: entry.stamp) == theirs
    assert sorted(traffic.there, key=lambda entry: entry.stamp) == mine
    assert traffic.moved < SIZE + 8 * 2000 / 256 * 100


@pytest.mark.parametrize("starter", ["the empty", "the full"])
def test_an_empty_node_gets_everything_in_bounded_messages(starter: str) -> None:
    full, empty = filled(2000), ReplicatedMap()
    write(full, "token/a", None)
    pair = (empty, full) if starter == "the empty" else (full, empty)
    traffic = sync(*pair)
    assert_equal(full, empty)
    assert len(traffic.here or traffic.there) == 2001
    assert traffic.largest < BATCH + SIZE + 3000
    payload = sum(entry.size for entry in everything(full))
    assert traffic.moved < payload * 1.05 + SIZE * traffic.requests
    assert traffic.requests < payload / BATCH * 2 + 3


def test_large_differences_come_in_steps_and_a_broken_sync_loses_nothing(small_batches: None) -> None:
    one, other = _twins(300)
    for key, _ in one.items()[::3]:
        write(one, key, b"n" * 50, term=2)
    for key, _ in other.items()[1::3]:
        write(other, key, None, term=3)
    for number in range(50):
        write(other, f"challenge/{number}", b"x" * 100, term=4)
    moved = sync(one, other, cut_after=7)
    assert moved.here or moved.there
    traffic = sync(one, other)
    assert traffic.requests > 20
    assert traffic.largest < SIZE + 1500
    assert_equal(one, other)


def test_a_bucket_larger_than_a_message_is_compared_in_parts(small_batches: None) -> None:
    names = (name for name in map("certificate/{}".format, range(100_000)) if bucket_of(name) == 7)
    one, other = ReplicatedMap(), ReplicatedMap()
    for number, name in zip(range(60), names, strict=False):
        write(one if number % 2 else other, name, b"x", term=number + 1)
    traffic = sync(one, other)
    assert_equal(one, other)
    assert len(one) == 60
    assert traffic.largest < SIZE + 1500


def test_a_write_in_the_middle_of_a_sync_is_kept_and_found_by_the_next(small_batches: None) -> None:
    one, other = _twins(0)
    for number in range(40):
        write(other, f"certificate/{number}", b"x")
    course = Sync()
    request = course.start(one)
    for step in range(1000):
        reply, _ = answer(other, request, 0.0)
        one.put(f"member/mine/{step}", b"", Stamp(1, step), 0.0)
        write(other, f"certificate/{step % 40}", b"%d" % step, term=3)
        one.merge([write(other, "leader", b"%d" % step, term=3)], 0.0)
        further, _ = course.receive(one, reply, 0.0)
        if further is None:
            break
        request = further
    else:
        pytest.fail("a sync has not ended")
    sync(one, other)
    assert_equal(one, other)


def test_a_stamp_that_was_given_twice_is_noticed_and_decided() -> None:
    one, other = _twins(50)
    one.put("token/a", b"1", Stamp(7, 100), 0.0)
    other.put("token/a", b"2", Stamp(7, 100), 0.0)
    one.put("token/b", b"1", Stamp(7, 101), 0.0)
    other.remove("token/b", Stamp(7, 101), 0.0)
    one.put("token/c", b"2", Stamp(7, 102), 0.0)
    other.put("token/c", b"1", Stamp(7, 102), 0.0)
    sync(one, other)
    assert_equal(one, other)
    assert (one.get("token/a"), one.get("token/b"), one.get("token/c")) == (b"2", None, b"2")


# --- the horizon


def _after_a_deletion() -> tuple[ReplicatedMap, ReplicatedMap]:
    """A leader that has forgotten a deletion, and a node that never heard of it."""
    leader, away = _twins(30)
    key = leader.items()[0][0]
    write(leader, key, None, term=2)
    assert leader.expire(DAY, leading=True) == 1
    return leader, away


def test_a_node_that_was_away_is_told_what_is_gone_and_takes_the_horizon_over(small_batches: None) -> None:
    leader, away = _after_a_deletion()
    traffic = sync(away, leader, DAY)
    assert_equal(leader, away)
    assert [entry.value for entry in traffic.here] == [None]
    assert traffic.there == []


def test_a_leader_that_asks_a_node_that_was_away_takes_nothing_old_and_does_not_ask_for_it() -> None:
    leader, away = _after_a_deletion()
    before = set(everything(leader))
    traffic = sync(leader, away, DAY)
    assert traffic.here == traffic.there == []
    assert traffic.requests == 1
    assert set(everything(leader)) == before


def test_a_node_below_the_horizon_keeps_what_is_newer_and_drops_what_is_older() -> None:
    leader, away = _after_a_deletion()
    above = away.merge([Entry("token/new", Stamp(2, 99), b""), Entry("token/lost", Stamp(1, 20), b"")], DAY)
    sync(away, leader, DAY)
    assert_equal(leader, away)
    assert leader.get(above[0].key) == b""
    assert away.get(above[1].key) is None


def test_a_sync_in_parts_drops_nothing_that_was_not_compared(small_batches: None) -> None:
    leader, away = _twins(300)
    for key, _ in leader.items()[::20]:
        write(leader, key, None, term=2)
    leader.expire(DAY, leading=True)
    for entry in everything(leader):
        write(leader, entry.key, b"newer", term=3)
    traffic = sync(away, leader, DAY)
    assert len([entry for entry in traffic.here if entry.value is None]) == 15
    assert_equal(leader, away)


def test_a_node_that_is_not_equal_yet_does_not_take_the_horizon_over() -> None:
    leader, away = _after_a_deletion()
    course = Sync()
    request = course.start(away)
    for _ in range(10):
        reply, _ = answer(leader, request, DAY)
        away.merge(
            [Entry(f"certificate/old-{course!r}-{away.version}", Stamp(1, 1), b"")], DAY
        )  # from another such node
        further, _ = course.receive(away, reply, DAY)
        if further is None:
            break
        request = further
    assert away.horizon == ZERO
    sync(away, leader, DAY)
    assert_equal(leader, away)


def test_a_change_while_the_answer_was_under_way_puts_the_horizon_off() -> None:
    leader, away = _after_a_deletion()
    course = Sync()
    request: Request | None = course.start(away)
    while request is not None:
        reply, _ = answer(leader, request, DAY)
        if isinstance(reply, Listing) and not reply.differing:
            break
        request, _ = course.receive(away, reply, DAY)
    assert request is not None
    away.merge([Entry("certificate/old", Stamp(1, 1), b"")], DAY)  # gossip of another node that was away
    assert course.receive(away, reply, DAY) == (None, [])
    assert away.horizon == ZERO
    sync(away, leader, DAY)
    assert_equal(leader, away)
    assert away.get("certificate/old") is None


@pytest.mark.parametrize("count", [10, 1000])
def test_nodes_below_one_horizon_complete_each_other(count: int) -> None:
    one, other = _twins(count)
    for copy in (one, other):
        copy.adopt(Stamp(1, count))
    one.drop(everything(one)[:2])
    other.drop(everything(other)[5:7])
    sync(one, other)
    assert_equal(one, other)
    assert len(one) == count


# --- facts


@pytest.mark.parametrize("new_node_has", ["something", "nothing"])
def test_a_removed_fact_is_removed_everywhere_and_its_tombstone_does_not_go_round(new_node_has: str) -> None:
    key = "member/gone/url"
    bucket = (name for name in map("token/{}".format, range(10_000)) if bucket_of(name) == bucket_of(key))
    one, other, new = ReplicatedMap(), ReplicatedMap(), ReplicatedMap()
    other.merge([one.put(key, b"x", Stamp(1, 1), 0.0)], 0.0)
    other.remove(key, Stamp(1, 2), 0.0)
    write(one, next(bucket), b"")
    if new_node_has == "something":
        write(new, next(bucket), b"")
    for pair in ((one, other), (new, one), (other, new)):
        sync(*pair)
    assert one.get(key) is None
    assert new.entry(key) is None
    assert_equal(one, other, new)


@pytest.mark.parametrize("turned", [False, True])
def test_a_removed_fact_reaches_a_node_that_has_nothing_else(turned: bool) -> None:
    key = "member/gone/url"
    one, other = ReplicatedMap(), ReplicatedMap()
    other.merge([one.put(key, b"x", Stamp(1, 1), 0.0)], 0.0)
    other.remove(key, Stamp(1, 2), 0.0)
    pair = (other, one) if turned else (one, other)
    assert [entry.key for traffic in [sync(*pair)] for entry in traffic.here + traffic.there] == [key]
    assert_equal(one, other)
    assert sync(*pair).requests == 1


# --- peers that misbehave


@pytest.mark.parametrize(
    "reply",
    [
        Delivery(ZERO, [], 0),
        Listing(ZERO, [], [], [], START),
    ],
)
def test_a_reply_to_another_question_or_without_progress_ends_the_sync(reply: Listing | Delivery) -> None:
    copy, course = filled(3), Sync()
    course.start(copy)
    with pytest.raises(BadPacket, match=r"not asked|no progress"):
        course.receive(copy, reply, 0.0)


@pytest.mark.parametrize("served", [0, 4])
def test_a_delivery_must_serve_some_of_what_was_wanted(served: int) -> None:
    copy, peer, course = ReplicatedMap(), filled(3), Sync()
    write(copy, "token/a", b"")
    peer.merge([], 0.0)
    reply, _ = answer(peer, Compare(ZERO, b"\1" * SIZE, START), 0.0)
    course.start(copy)
    request, _ = course.receive(copy, reply, 0.0)
    assert isinstance(request, Exchange)
    assert len(request.wanted) == 3
    with pytest.raises(BadPacket, match=f"serves {served} of 3 keys"):
        course.receive(copy, Delivery(ZERO, [], served), 0.0)


def test_a_peer_that_never_comes_to_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "MAX_REQUESTS", 50)
    copy, course = filled(3), Sync()
    course.start(copy)
    for number in range(49):
        course.receive(copy, Listing(ZERO, [], [], [], Position(1, f"{number:03}")), 0.0)
    with pytest.raises(BadPacket, match="has not ended after 50 requests"):
        course.receive(copy, Listing(ZERO, [], [], [], Position(1, "x")), 0.0)


def test_a_key_that_is_gone_when_it_is_asked_for_is_no_error() -> None:
    reply, _ = answer(ReplicatedMap(), Exchange(ZERO, [], ["certificate/a"]), 0.0)
    assert reply == Delivery(ZERO, [], 1)


def _messages() -> Iterator[bytes]:
    full = filled(4)
    yield encode(summary(full))
    course = Sync()
    copy = ReplicatedMap()
    write(copy, "token/a", None)
    request = course.start(copy)
    yield encode(request)
    reply, _ = answer(full, request, 0.0)
    yield encode(reply)
    yield encode(answer(full, Compare(ZERO, b"\1" * SIZE, START), 0.0)[0])
    yield encode(Exchange(ZERO, everything(full), ["certificate/a"]))
    yield encode(Delivery(Stamp(1, 2), everything(full), 1))


@given(st.sampled_from(list(_messages())), st.data())
def test_a_damaged_message_is_read_or_refused_and_nothing_else(message: bytes, data: st.DataObject) -> None:
    body = bytearray(message)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(body) - 1, 40)) | st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    for parse in (parse_untrusted_summary, parse_untrusted_request, parse_untrusted_reply):
        try:
            parse(bytes(body))
        except BadPacket:
            continue


@given(st.binary(max_size=60))
def test_noise_is_refused_and_nothing_else(body: bytes) -> None:
    for parse in (parse_untrusted_summary, parse_untrusted_request, parse_untrusted_reply):
        try:
            parse(body)
        except BadPacket:
            continue


@pytest.mark.parametrize(
    "fields",
    [
        [1, [0, 0], bytes(SIZE - 1), [0, ""]],
        [1, [0, 0], bytes(SIZE), [257, ""]],
        [1, [0, 0], bytes(SIZE), [0, "k" * 513]],
        [2, [0, 0], [["", [1, 1], b""]], []],
        [9, [0, 0]],
        [],
    ],
)
def test_a_request_out_of_bounds_is_refused(fields: list[object]) -> None:
    with pytest.raises(BadPacket, match="not a request of delta sync"):
        parse_untrusted_request(msgspec.msgpack.encode(fields))


def test_a_message_that_is_too_long_is_not_even_read() -> None:
    with pytest.raises(BadPacket, match="at most 1048576 are read"):
        parse_untrusted_reply(bytes(MAX_MESSAGE + 1))


def test_the_end_of_a_comparison_lies_behind_every_key() -> None:
    assert START < Position(0, "a") < Position(0, "b") < Position(255, "\U0010ffff") < END
