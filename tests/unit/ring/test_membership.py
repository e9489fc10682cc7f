from __future__ import annotations

import pytest

from acme_manager.ring.claims import HIGHEST
from acme_manager.ring.messages import Alive, Unreadable, User
from acme_manager.ring.types import Delivered, PushPull, Refused, Status, StatusChanged
from tests.unit.ring.membership_script import (
    ELSEWHERE,
    HERE,
    THERE,
    VSN,
    alive,
    core,
    dead,
    knowing,
    member,
    queued,
    quiet,
    run,
    sent,
    status,
    suspect,
)

# --- alive ---


def test_an_unknown_member_joins_and_is_passed_on() -> None:
    ring = core()
    effects = ring.receive(alive(meta=b"theirs"), THERE, 3.0)
    assert effects == [StatusChanged(member(ring), None)]
    assert member(ring).since == 3.0
    assert alive(meta=b"theirs") in queued(ring)


def test_a_member_without_an_incarnation_is_not_let_in() -> None:
    ring = core()
    assert ring.receive(alive(incarnation=0), THERE, 0.0) == []
    assert status(ring) is None


@pytest.mark.parametrize("incarnation", [0, 1])
def test_old_news_of_a_live_member_changes_nothing(incarnation: int) -> None:
    ring = knowing(1)
    assert ring.receive(alive(incarnation=incarnation, meta=b"other"), THERE, 1.0) == []
    assert member(ring).meta == b""
    assert queued(ring) == []


def test_newer_meta_is_taken_and_told() -> None:
    ring = knowing(1)
    [change] = ring.receive(alive(incarnation=2, meta=b"new"), THERE, 1.0)
    assert change == StatusChanged(member(ring), Status.ALIVE)
    assert (member(ring).meta, member(ring).since) == (b"new", 0.0)


def test_a_mere_new_incarnation_is_passed_on_without_a_word_to_the_layers_above() -> None:
    ring = knowing(1)
    assert ring.receive(alive(incarnation=2), THERE, 1.0) == []
    assert queued(ring) == [alive(incarnation=2)]


def test_port_0_stands_for_our_own_port() -> None:
    ring = core()
    ring.receive(alive(address=(THERE[0], 0)), THERE, 0.0)
    assert member(ring).address == THERE


@pytest.mark.parametrize(
    ("vsn", "why"),
    [
        (bytes((0, 5, 2, 0, 0, 0)), "its protocol versions make no sense: 0 to 5"),
        (bytes((3, 2, 2, 0, 0, 0)), "its protocol versions make no sense: 3 to 2"),
        (bytes((3, 5, 3, 0, 0, 0)), "it speaks protocol version 3 and accepts 3 to 5, we speak 2 and accept 1 to 5"),
        (bytes((1, 5, 2, 2, 5, 5)), "it speaks delegate version 5 and accepts 2 to 5, we speak 0 and accept 0 to 0"),
    ],
)
def test_a_member_that_we_could_not_talk_to_is_refused(vsn: bytes, why: str) -> None:
    ring = core()
    assert ring.receive(alive(vsn=vsn), THERE, 0.0) == [Refused("b", why, THERE)]
    assert status(ring) is None


@pytest.mark.parametrize("vsn", [bytes((1, 5, 5, 0, 7, 0)), bytes((1, 2, 2, 0, 0, 0)), bytes((2, 255, 2, 0, 255, 0))])
def test_other_ranges_of_versions_are_welcome_where_they_overlap(vsn: bytes) -> None:
    ring = core()
    ring.receive(alive(vsn=vsn), THERE, 0.0)
    assert member(ring).vsn == vsn


def test_a_node_that_speaks_as_serf_does_takes_serf_in_and_not_its_own_kind() -> None:
    ring = core(delegate_version=5)
    assert ring.local_state()[0].vsn == bytes((1, 5, 2, 2, 5, 5))
    ring.receive(alive("serf", vsn=bytes((1, 5, 2, 2, 5, 5))), THERE, 0.0)
    ring.receive(alive("other", vsn=VSN), THERE, 0.0)
    assert (status(ring, "serf"), status(ring, "other")) == (Status.ALIVE, None)


@pytest.mark.parametrize("kind", [alive, suspect, dead])
def test_an_incarnation_that_would_leave_no_room_to_refute_is_not_believed(kind: type) -> None:
    ring = knowing(1)
    for node in ("a", "b"):
        ring.receive(kind(node=node, incarnation=HIGHEST + 1), THERE, 0.0)
    assert [one.incarnation for one in ring.members()] == [1, 1]


# --- whose name it is ---


@pytest.mark.parametrize("state", [Status.ALIVE, Status.SUSPECT])
def test_a_name_in_use_is_not_given_away(state: Status) -> None:
    ring = knowing(1)
    if state is Status.SUSPECT:
        ring.receive(suspect(), ELSEWHERE, 0.0)
    [refused] = ring.receive(alive(incarnation=9, address=ELSEWHERE), ELSEWHERE, 1.0)
    assert isinstance(refused, Refused)
    assert "conflicting address" in refused.reason
    assert (member(ring).address, member(ring).incarnation, status(ring)) == (THERE, 1, state)


def test_the_name_of_a_member_that_left_may_be_taken_at_once() -> None:
    ring = knowing(1)
    ring.receive(dead(by="b"), THERE, 0.0)
    ring.receive(alive(incarnation=2, address=ELSEWHERE), ELSEWHERE, 0.0)
    assert (status(ring), member(ring).address) == (Status.ALIVE, ELSEWHERE)


def test_the_name_of_a_dead_member_may_be_taken_at_once_unless_told_otherwise() -> None:
    for knobs, later, expected in (
        ({}, 0.0, ELSEWHERE),
        ({"dead_reclaim": 9.0}, 8.0, THERE),
        ({"dead_reclaim": 9.0}, 9.0, ELSEWHERE),
    ):
        ring = knowing(1, **knobs)
        ring.receive(dead(), ELSEWHERE, 0.0)
        ring.receive(alive(incarnation=2, address=ELSEWHERE), ELSEWHERE, later)
        assert member(ring).address == expected


def test_who_takes_a_name_with_an_old_incarnation_is_told_the_one_to_beat() -> None:
    ring = knowing(1)
    ring.receive(dead(incarnation=7), ELSEWHERE, 0.0)
    effects = ring.receive(alive(address=ELSEWHERE), ELSEWHERE, 0.0)
    assert sent(effects, ELSEWHERE) == [dead(incarnation=7, by="a")]
    assert member(ring).incarnation == 7


def test_a_second_node_with_our_name_does_not_make_us_raise_our_incarnation() -> None:
    ring = core()
    [refused] = ring.receive(alive("a", incarnation=5, address=ELSEWHERE), ELSEWHERE, 0.0)
    assert isinstance(refused, Refused)
    assert member(ring, "a").incarnation == 1


# --- suspect and dead ---


@pytest.mark.parametrize("message", [suspect("x"), dead("x")])
def test_bad_news_of_an_unknown_member_is_nothing(message: object) -> None:
    ring = core()
    quiet(ring)
    assert ring.receive(message, THERE, 0.0) == []  # type: ignore[arg-type]
    assert (len(ring.members()), queued(ring)) == (1, [])


@pytest.mark.parametrize("kind", [suspect, dead])
def test_bad_news_of_an_earlier_incarnation_is_nothing(kind: type) -> None:
    ring = knowing(1)
    ring.receive(alive(incarnation=3), THERE, 0.0)
    quiet(ring)
    assert ring.receive(kind(incarnation=2), ELSEWHERE, 0.0) == []
    assert (status(ring), queued(ring)) == (Status.ALIVE, [])


def test_an_accusation_starts_a_suspicion_that_ends_in_death() -> None:
    ring = knowing(3)
    [change] = ring.receive(suspect(), ELSEWHERE, 0.0)
    assert change == StatusChanged(member(ring), Status.ALIVE)
    assert queued(ring) == [suspect()]
    ring.receive(suspect(by="d"), ELSEWHERE, 0.0)
    due = ring._common.timers.when(("suspicion", "b"))
    assert due is not None
    assert due == pytest.approx(11.381)  # of 4 to 24 s, one of two confirmations
    changes = [effect for _, effect in run(ring, 0.0, due) if isinstance(effect, StatusChanged)]
    assert StatusChanged(member(ring), Status.SUSPECT) in changes
    assert status(ring) is Status.DEAD


def test_a_second_accuser_counts_once_and_is_passed_on_once() -> None:
    ring = knowing(3)
    ring.receive(suspect(by="c"), ELSEWHERE, 0.0)
    for _ in range(2):
        quiet(ring)
        assert ring.receive(suspect(by="d"), ELSEWHERE, 0.0) == []
    assert queued(ring) == []


def test_a_refuted_suspicion_is_over() -> None:
    ring = knowing(1)
    ring.receive(suspect(), ELSEWHERE, 0.0)
    [change] = ring.receive(alive(incarnation=2), THERE, 1.0)
    assert change == StatusChanged(member(ring), Status.SUSPECT)
    assert ring._common.timers.when(("suspicion", "b")) is None


def test_life_at_the_suspected_incarnation_refutes_nothing() -> None:
    ring = knowing(1)
    ring.receive(suspect(), ELSEWHERE, 0.0)
    ring.receive(alive(), THERE, 1.0)
    assert status(ring) is Status.SUSPECT


@pytest.mark.parametrize(("by", "expected"), [("c", Status.DEAD), ("b", Status.LEFT)])
def test_who_says_so_himself_has_left(by: str, expected: Status) -> None:
    ring = knowing(1)
    [change] = ring.receive(dead(by=by), ELSEWHERE, 2.0)
    assert change == StatusChanged(member(ring), Status.ALIVE)
    assert (status(ring), queued(ring)) == (expected, [dead(by=by)])
    assert ring.receive(dead(by="d"), ELSEWHERE, 3.0) == []


def test_a_goodbye_that_comes_after_the_news_of_a_death_still_counts() -> None:
    ring = knowing(1)
    ring.receive(dead(), ELSEWHERE, 0.0)
    ring.receive(dead(by="b"), THERE, 0.0)
    assert status(ring) is Status.LEFT


@pytest.mark.parametrize("by", ["c", "b"])
def test_who_shows_an_old_claim_of_life_for_the_dead_is_told_so(by: str) -> None:
    ring = knowing(1)
    ring.receive(dead(by=by), ELSEWHERE, 0.0)
    effects = ring.receive(alive(), THERE, 1.0)
    assert sent(effects, THERE) == [dead(by="a" if by == "c" else "b")]
    assert status(ring) is not Status.ALIVE


def test_a_member_that_comes_back_from_the_dead_is_visited() -> None:
    ring = knowing(1)
    ring.receive(dead(), ELSEWHERE, 0.0)
    effects = ring.receive(alive(incarnation=2), THERE, 5.0)
    assert effects == [StatusChanged(member(ring), Status.DEAD), PushPull(THERE, "b")]
    ring.receive(dead(incarnation=2), ELSEWHERE, 6.0)
    secondhand = ring.receive(alive(incarnation=3), ELSEWHERE, 7.0)
    assert secondhand == [StatusChanged(member(ring), Status.DEAD)]


# --- about ourselves ---


@pytest.mark.parametrize("message", [suspect("a"), dead("a"), dead("a", by="a"), alive("a", address=HERE, meta=b"no")])
def test_what_is_wrong_about_us_is_refuted_to_all_and_to_who_said_it(message: object) -> None:
    ring = core()
    effects = ring.receive(message, THERE, 0.0)  # type: ignore[arg-type]
    [refutation] = sent(effects, THERE)
    assert refutation == Alive(incarnation=2, node="a", address=HERE, meta=b"ours", vsn=VSN)
    assert queued(ring) == [refutation]
    assert ring.health_score == 1
    assert status(ring, "a") is Status.ALIVE


def test_a_refutation_beats_the_accusation_it_answers() -> None:
    ring = core()
    ring.receive(dead("a", incarnation=41), THERE, 0.0)
    assert member(ring, "a").incarnation == 42


def test_what_is_right_about_us_is_not_refuted() -> None:
    ring = core(meta=b"")
    assert ring.receive(alive("a", address=HERE), THERE, 0.0) == []
    assert (member(ring, "a").incarnation, ring.health_score) == (1, 0)


def test_a_late_accusation_is_answered_without_a_new_incarnation() -> None:
    ring = core()
    ring.receive(suspect("a"), THERE, 0.0)
    effects = ring.receive(suspect("a"), ELSEWHERE, 1.0)
    [again] = sent(effects, ELSEWHERE)
    assert isinstance(again, Alive)
    assert (again.incarnation, member(ring, "a").incarnation, ring.health_score) == (2, 2, 1)


def test_new_meta_is_announced_under_a_new_incarnation_and_the_same_is_not() -> None:
    ring = core()
    quiet(ring)
    [change] = ring.update_meta(b"changed", 1.0)
    assert change == StatusChanged(member(ring, "a"), Status.ALIVE)
    assert queued(ring) == [alive("a", incarnation=2, address=HERE, meta=b"changed")]
    assert ring.update_meta(b"changed", 2.0) == []


# --- leaving ---


def test_leaving_is_over_when_the_goodbye_has_been_sent_often_enough() -> None:
    ring = knowing(3)
    assert not ring.left()
    ring.leave(0.0)
    assert queued(ring) == [dead("a", by="a")]
    assert not ring.left()
    goodbyes = [message for _, effect in run(ring, 0.0, 0.3) for message in sent([effect])]
    assert goodbyes.count(dead("a", by="a")) == 8
    assert ring.left()


def test_leaving_a_ring_of_one_is_over_at_once() -> None:
    ring = core()
    ring.leave(0.0)
    assert ring.left()


def test_who_leaves_refutes_and_probes_no_more() -> None:
    ring = knowing(2)
    ring.leave(0.0)
    for message in (suspect("a"), dead("a"), alive("a", incarnation=5, address=HERE)):
        assert ring.receive(message, THERE, 0.0) == []
    assert status(ring, "a") is Status.LEFT
    happened = run(ring, 0.0, 100.0)
    assert {type(message).__name__ for _, effect in happened for message in sent([effect])} == {"Dead"}
    assert not any(isinstance(effect, PushPull) for _, effect in happened)


# --- forgetting ---


def test_a_dead_member_can_be_made_one_that_left() -> None:
    ring = knowing(1)
    ring.receive(dead(), ELSEWHERE, 0.0)
    [change] = ring.forget("b", 1.0)
    assert change == StatusChanged(member(ring), Status.DEAD)
    assert (status(ring), queued(ring)) == (Status.LEFT, [dead(by="b")])


@pytest.mark.parametrize("name", ["a", "b", "nobody"])
def test_who_is_not_dead_is_not_forgotten(name: str) -> None:
    ring = knowing(1)
    assert ring.forget(name, 1.0) == []
    assert status(ring) is Status.ALIVE


def test_the_dead_are_listed_for_a_day_and_who_left_for_five_minutes() -> None:
    ring = knowing(2)
    ring.receive(dead("b"), ELSEWHERE, 0.0)
    ring.receive(dead("c", by="c"), ELSEWHERE, 0.0)
    times = {}
    for now in (299, 301, 24 * 3600 - 9, 24 * 3600 + 9):
        ring.tick(ring.deadline())
        run(ring, ring._now, now - ring._now)
        times[now] = {one.name for one in ring.members()} - {"a"}
    assert times == {299: {"b", "c"}, 301: {"b"}, 24 * 3600 - 9: {"b"}, 24 * 3600 + 9: set()}


# --- user messages and garbage ---


def test_a_user_message_is_handed_up() -> None:
    ring = core()
    assert ring.receive(User(b"\x01x"), THERE, 0.0) == [Delivered(b"\x01x", THERE)]


def test_an_unreadable_part_is_counted() -> None:
    ring = core()
    assert ring.receive(Unreadable("why"), THERE, 0.0) == []
    assert ring.statistics().counts.unreadable == 1


def test_a_user_message_reaches_others_and_the_newest_of_a_key_wins() -> None:
    ring = knowing(1)
    assert ring.broadcast("key", b"old", 0.0)
    assert ring.broadcast("key", b"new", 0.0)
    messages = [message for _, effect in run(ring, 0.0, 3.0) for message in sent([effect], THERE)]
    assert [message for message in messages if isinstance(message, User)] == [User(b"new")] * 8


def test_a_user_message_that_no_datagram_holds_is_refused() -> None:
    ring = knowing(1)
    assert not ring.broadcast("key", bytes(60_001), 0.0)
    assert ring.broadcast("key", bytes(60_000), 0.0)
    assert ring.statistics().counts.user_refused == 1


def test_who_is_alone_keeps_no_news() -> None:
    ring = core()
    assert ring.broadcast("key", b"x", 0.0)
    assert ring.statistics().queued == 1  # that we are here


def test_names_from_nowhere_do_not_fill_the_memory() -> None:
    ring = core(max_members=10)
    for number in range(50):
        ring.receive(alive(f"n{number}", address=("10.1.0.1", number + 1)), THERE, 0.0)
    assert len(ring.members()) == 10
    assert ring.statistics().counts.refused == 41
    assert ring.statistics().queued <= 10


def test_the_longest_gone_make_room_for_the_living() -> None:
    ring = core(max_members=3)
    for node in ("b", "c"):
        ring.receive(alive(node), THERE, 0.0)
        ring.receive(dead(node), THERE, 0.0)
    run(ring, 0.0, 40.0)  # both are buried
    ring.receive(alive("d"), THERE, 40.0)
    assert {one.name for one in ring.members()} == {"a", "c", "d"}


def test_statistics_say_who_is_there_and_what_waits() -> None:
    ring = knowing(3)
    ring.receive(suspect("b"), ELSEWHERE, 0.0)
    ring.receive(dead("c", by="d"), ELSEWHERE, 0.0)
    figures = ring.statistics()
    assert (figures.members.alive, figures.members.suspect, figures.members.dead, figures.members.left) == (2, 1, 1, 0)
    assert figures.queued == 2
    assert figures.queued_bytes > 40
    assert (figures.counts.suspicions, figures.counts.deaths) == (1, 1)
