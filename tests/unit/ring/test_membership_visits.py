from __future__ import annotations

import itertools

import pytest

from acme_manager.ring.membership import Incompatible, Membership
from acme_manager.ring.types import Effect, PushPull, Refused, Status, StatusChanged
from tests.unit.ring.membership_script import (
    ELSEWHERE,
    HERE,
    THERE,
    address,
    alive,
    core,
    dead,
    knowing,
    member,
    push,
    queued,
    quiet,
    run,
    sent,
    status,
)

SERF = bytes((1, 5, 2, 2, 5, 5))


def visits(ring: Membership, start: float, seconds: float) -> list[tuple[float, PushPull]]:
    """The exchanges that it asks for in a time in which everybody answers every probe."""
    return [
        (when, effect) for when, effect in run(ring, start, seconds, answering=True) if isinstance(effect, PushPull)
    ]


# --- merging ---


def test_the_state_we_send_is_what_we_hold() -> None:
    ring = knowing(1)
    ring.receive(dead(by="b"), THERE, 0.0)
    assert ring.local_state() == [push("a", address=HERE, meta=b"ours"), push("b", status=Status.LEFT)]


def test_a_peer_s_living_are_taken_in_and_passed_on() -> None:
    ring = core()
    effects = ring.merge([push("b"), push("c", address=ELSEWHERE)], 0.0, join=False)
    assert effects == [StatusChanged(member(ring, "b"), None), StatusChanged(member(ring, "c"), None)]
    assert alive("b") in queued(ring)


@pytest.mark.parametrize("said", [Status.DEAD, Status.SUSPECT])
def test_a_death_that_a_peer_knows_of_is_a_suspicion_here(said: Status) -> None:
    ring = knowing(1)
    ring.merge([push(status=said)], 0.0, join=False)
    assert status(ring) is Status.SUSPECT


def test_who_left_by_a_peer_s_account_has_left() -> None:
    ring = knowing(1)
    ring.merge([push(status=Status.LEFT)], 0.0, join=False)
    assert (status(ring), queued(ring)) == (Status.LEFT, [dead(by="b")])


@pytest.mark.parametrize("said", [Status.DEAD, Status.SUSPECT, Status.LEFT])
def test_an_earlier_life_of_ours_in_a_peer_s_state_is_outlived(said: Status) -> None:
    ring = core()
    ring.merge([push("a", incarnation=6, status=said, address=HERE)], 0.0, join=True)
    assert (status(ring, "a"), member(ring, "a").incarnation) == (Status.ALIVE, 7)


def test_an_earlier_life_of_ours_at_another_address_is_asked_after_until_it_is_dead() -> None:
    ring = knowing(1)
    effects = ring.merge([push("a", incarnation=6, address=ELSEWHERE)], 0.0, join=False)
    assert [type(effect) for effect in effects] == [Refused]
    [(when, _)] = visits(ring, 0.0, 4.5)
    assert when == 4.0
    ring.merge([push("a", incarnation=6, address=ELSEWHERE, status=Status.DEAD)], when, join=False)
    assert member(ring, "a").incarnation == 7


def test_after_a_join_the_state_is_exchanged_again_soon() -> None:
    ring = core()
    ring.merge([push("b")], 0.0, join=True)
    assert [when for when, _ in visits(ring, 0.0, 4.5)] == [4.0]


def test_a_peer_whose_ring_we_do_not_fit_is_an_error_that_says_what_to_do() -> None:
    ring = core()
    with pytest.raises(Incompatible, match=r"'b' and its peers .* delegate version 5 .* -ring.memberlist.delegate-v"):
        ring.merge([push("b", vsn=SERF), push("c", vsn=SERF)], 0.0, join=True)
    assert len(ring.members()) == 1


def test_one_odd_node_does_not_keep_the_others_out() -> None:
    ring = core()
    effects = ring.merge([push("b", vsn=SERF), push("c")], 0.0, join=True)
    assert isinstance(effects[0], Refused)
    assert (status(ring, "b"), status(ring, "c")) == (None, Status.ALIVE)


def test_an_empty_state_is_one_that_fits() -> None:
    assert core().merge([], 0.0, join=True) == []


# --- the regular exchange ---


@pytest.mark.parametrize(("members", "every"), [(1, 30), (32, 30), (33, 60), (64, 60), (65, 90), (128, 90), (129, 120)])
def test_a_larger_ring_exchanges_its_state_less_often(members: int, every: float) -> None:
    assert core()._common.config.push_pull_every(members) == every


def test_one_live_member_at_a_time_is_visited() -> None:
    ring = knowing(1)
    found = visits(ring, 0.0, 90.0)
    assert {visit for _, visit in found} == {PushPull(THERE, "b")}
    times = [when for when, _ in found]
    assert len(times) == 3
    assert [second - first for first, second in itertools.pairwise(times)] == pytest.approx([30, 30])


def test_the_regular_exchange_can_be_turned_off() -> None:
    ring = core(push_pull_interval=0, graveyard_interval=1e9)
    ring.receive(alive(), THERE, 0.0)
    assert visits(ring, 0.0, 300) == []


# --- seeds ---


def test_seeds_are_asked_at_once_and_again_with_growing_pauses_until_somebody_is_there() -> None:
    ring = core()
    ring.set_seeds([THERE, HERE], 0.0)
    asked = visits(ring, 0.0, 400)
    assert {visit for _, visit in asked} == {PushPull(THERE, "", join=True)}  # not ourselves
    times = [when for when, _ in asked]
    pauses = [second - first for first, second in itertools.pairwise(times)]
    assert times[0] == 0.0
    for pause, expected in zip(pauses, (1, 2, 4, 8, 16, 32, 60, 60), strict=False):
        assert 0.8 * expected <= pause <= 1.2 * expected


def test_a_seed_that_is_missing_is_asked_again_every_minute_and_one_that_is_there_is_not() -> None:
    ring = core(push_pull_interval=0)
    ring.merge([push("b")], 0.0, join=False)
    ring.set_seeds([THERE, ELSEWHERE], 0.0)
    asked = visits(ring, 0.0, 299.0)
    assert {visit for _, visit in asked} == {PushPull(ELSEWHERE, "", join=True)}
    assert 5 <= len(asked) <= 7


def test_joining_again_can_be_turned_off_but_not_for_who_is_alone() -> None:
    ring = core(rejoin_interval=0, push_pull_interval=0)
    ring.merge([push("b")], 0.0, join=False)
    ring.set_seeds([THERE, ELSEWHERE], 0.0)
    assert visits(ring, 0.0, 3.0) == []
    ring.receive(dead(by="b"), THERE, 3.0)
    assert {visit.to for _, visit in visits(ring, 3.0, 100.0)} == {THERE, ELSEWHERE}


def test_seeds_that_stay_the_same_start_nothing_new() -> None:
    ring = core()
    ring.set_seeds([THERE], 0.0)
    visits(ring, 0.0, 200.0)
    planned = ring._common.timers.when("join")
    ring.set_seeds([THERE], 200.0)
    assert ring._common.timers.when("join") == planned
    ring.set_seeds([THERE, ELSEWHERE], 200.0)
    assert ring._common.timers.when("join") == 200.0


# --- the dead ---


def test_the_dead_are_visited_with_growing_pauses_for_a_day() -> None:
    ring = knowing(1, push_pull_interval=0)
    ring.receive(dead(), ELSEWHERE, 0.0)
    quiet(ring)
    times = [when for when, visit in visits(ring, 0.0, 25 * 3600) if visit == PushPull(THERE, "b")]
    pauses = [round(second - first) for first, second in itertools.pairwise(times)]
    assert pauses[:5] == [30, 60, 120, 240, 480]
    assert set(pauses[5:]) == {480}
    assert 24 * 3600 - 500 < times[-1] <= 24 * 3600 + 30


def test_the_dead_are_told_so_every_few_seconds_and_who_left_is_left_alone() -> None:
    ring = knowing(2, push_pull_interval=0)
    ring.receive(dead("b"), ELSEWHERE, 0.0)
    ring.receive(dead("c", by="c"), ELSEWHERE, 0.0)
    run(ring, 0.0, 60.0)
    effects: list[Effect] = [effect for _, effect in run(ring, 60.0, 50.0)]
    assert sent(effects, address(0)) == [dead("b", by="a")] * 10
    assert sent(effects, address(1)) == []


def test_a_name_from_the_graveyard_comes_back_only_under_a_newer_incarnation() -> None:
    ring = knowing(1)
    ring.receive(dead(by="b"), THERE, 0.0)
    run(ring, 0.0, 100.0)
    assert [one.name for one in ring.local_state()] == ["a"]  # it is buried
    effects = ring.receive(alive(), ELSEWHERE, 100.0)
    assert sent(effects, THERE) == [dead(by="b")]
    assert queued(ring) == [dead(by="b")]  # for those who forgot it and believe the old claim
    ring.receive(alive(incarnation=2), THERE, 101.0)
    assert status(ring) is Status.ALIVE


# --- gossip ---


def test_the_newly_dead_hear_gossip_for_half_a_minute_and_who_left_does_not() -> None:
    ring = knowing(2, call_interval=1e9, graveyard_interval=1e9, push_pull_interval=0)
    ring.receive(dead("b"), ELSEWHERE, 0.0)
    ring.receive(dead("c", by="c"), ELSEWHERE, 0.0)
    first = [effect for _, effect in run(ring, 0.0, 3.0)]
    assert dead("b") in sent(first, address(0))
    assert sent(first, address(1)) == []
    run(ring, 3.0, 30.0)
    ring.update_meta(b"news", 33.0)
    assert [effect for _, effect in run(ring, 33.0, 3.0) if sent([effect])] == []


def test_without_news_there_is_no_gossip() -> None:
    ring = knowing(3)
    assert ring._common.timers.when("gossip") is None
    ring.update_meta(b"news", 1.0)
    assert ring._common.timers.when("gossip") == 1.01


def test_each_round_reaches_three_members_and_the_next_follows_after_the_interval() -> None:
    ring = knowing(8, push_pull_interval=0)
    ring.update_meta(b"news", 0.0)
    rounds: dict[float, int] = {}
    for when, effect in run(ring, 0.0, 1.0):
        if alive("a", 2, HERE, meta=b"news") in sent([effect]):
            rounds[when] = rounds.get(when, 0) + 1
    gossiped = [when for when, count in rounds.items() if count == 3]
    assert gossiped[0] == 0.01
    assert gossiped[1] == pytest.approx(0.21)
    assert sum(rounds.values()) == 8
