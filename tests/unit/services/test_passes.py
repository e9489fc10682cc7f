from __future__ import annotations

from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from acme_manager.errors import StorageUnavailable
from acme_manager.ring.alone import Alone
from acme_manager.services.passes import Pass, Passes
from acme_manager.structure import background
from tests.unit.services.world import NOW, MovableClock

HOUR = 3600.0


def node(name: str, cluster: Alone, clock: MovableClock) -> Passes:
    """A node that shares the map of a cluster, and leads while that does."""
    seat = Alone(name)
    seat.leads = cluster.leads  # type: ignore[method-assign]
    return Passes(seat, cluster, clock)


def good(passes: Passes, worker: str = "renewal", **figures: int) -> None:
    with passes.noted(worker, HOUR, leader_only=worker == "renewal") as noted:
        noted.update(figures)


def bad(passes: Passes, error: Exception, worker: str = "renewal") -> None:
    with pytest.raises(type(error)), passes.noted(worker, HOUR, leader_only=worker == "renewal"):
        raise error


def test_a_round_of_the_leader_is_known_on_every_node_and_others_only_where_they_are_made() -> None:
    cluster, clock = Alone(), MovableClock()
    leader, other = node("a", cluster, clock), node("b", cluster, clock)
    with leader.noted("renewal", HOUR, leader_only=True) as figures:
        clock.at += timedelta(seconds=2)
        figures["looked at"] = 7
    good(leader, "token expiry")
    expected = Pass(
        worker="renewal",
        node="a",
        leader_only=True,
        interval=HOUR,
        began=NOW,
        ended=NOW + timedelta(seconds=2),
        succeeded=NOW + timedelta(seconds=2),
        figures={"looked at": 7},
    )
    assert other.all() == [expected]
    assert [(one.worker, one.leader_only) for one in leader.all()] == [("renewal", True), ("token expiry", False)]
    assert expected.next == NOW + timedelta(seconds=HOUR)


def test_failures_in_a_row_are_counted_with_their_reason_and_a_success_ends_them() -> None:
    cluster, clock = Alone(), MovableClock()
    passes = node("a", cluster, clock)
    good(passes)
    clock.at += timedelta(hours=1)
    bad(passes, StorageUnavailable("Vault is sealed"))
    bad(passes, RuntimeError("text that nobody has checked"))
    (last,) = passes.all()
    assert (last.failures, last.error, last.succeeded) == (2, "RuntimeError; see the log", NOW)
    bad(passes, StorageUnavailable("x" * 1000))
    assert len(passes.all()[0].error) == 500
    good(passes)
    assert (passes.all()[0].failures, passes.all()[0].error) == (0, "")


async def test_rounds_that_end_alike_are_told_now_and_then_and_a_change_at_once(autojump_clock: MockClock) -> None:
    cluster, clock = Alone(), MovableClock()
    leader, other = node("a", cluster, clock), node("b", cluster, clock)

    def writes() -> int:
        return int(cluster.statistics()["writes"])

    async with background(leader.run):
        for _ in range(100):
            good(leader)
            clock.at += timedelta(seconds=1)
            await trio.sleep(1)
        assert 3 <= writes() <= 5
        before = writes()
        bad(leader, StorageUnavailable("sealed"))
        assert other.all()[0].error == "sealed"
        good(leader)
        assert other.all()[0].error == ""
        assert writes() == before + 2
        await trio.sleep(100)
        assert writes() == before + 2


def test_a_node_that_leads_no_more_shows_its_successors_rounds_and_notes_none() -> None:
    cluster, clock = Alone(), MovableClock()
    first, second = node("a", cluster, clock), node("b", cluster, clock)
    good(first)
    clock.at += timedelta(minutes=1)
    good(second)
    cluster.leading = False
    clock.at += timedelta(minutes=1)
    good(first)
    assert [one.node for one in first.all()] == ["b"]


def test_a_round_is_late_after_twice_its_interval_and_not_before_one_could_have_heard_of_it() -> None:
    cluster, clock = Alone(), MovableClock()
    passes = node("a", cluster, clock)
    with passes.noted("operations", 2.0, leader_only=True):
        pass
    good(passes)
    quick, slow = passes.all()
    assert [quick.late(NOW + timedelta(seconds=at)) for at in (60, 63)] == [False, True]
    assert [slow.late(NOW + timedelta(hours=at)) for at in (2, 3)] == [False, True]


def test_what_is_not_heard_of_for_a_week_or_can_not_be_read_is_forgotten() -> None:
    cluster, clock = Alone(), MovableClock()
    leader, other = node("a", cluster, clock), node("b", cluster, clock)
    good(leader)
    for number, value in enumerate((b"no JSON", b"[]", b"{}", b'{"began": "x", "ended": 1}')):
        cluster.put(f"pass/other {number}", value)
    assert [one.worker for one in other.all()] == ["renewal"]
    clock.at += timedelta(days=7, hours=1)
    leader.forget_old()
    assert [one.worker for one in other.all()] == ["renewal"]
    clock.at += timedelta(seconds=1)
    leader.forget_old()
    assert other.all() == []
