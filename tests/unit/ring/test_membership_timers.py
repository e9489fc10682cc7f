from __future__ import annotations

from acme_manager.ring.timers import Timers


class Script:
    """Timers, and what they did."""

    def __init__(self) -> None:
        self.timers = Timers()
        self.done: list[tuple[str, float]] = []

    def set(self, key: str, when: float) -> None:
        self.timers.set(key, when, lambda now: self.done.append((key, now)))


def test_what_is_due_is_done_once_in_order_of_time() -> None:
    script = Script()
    for key, when in (("late", 3.0), ("early", 1.0), ("future", 9.0), ("middle", 2.0)):
        script.set(key, when)
    script.timers.run(3.0)
    script.timers.run(3.0)
    assert script.done == [("early", 3.0), ("middle", 3.0), ("late", 3.0)]
    assert script.timers.deadline() == 9.0


def test_setting_a_key_again_moves_it() -> None:
    script = Script()
    script.set("k", 1.0)
    script.set("k", 5.0)
    assert script.timers.deadline() == 5.0
    script.timers.run(4.0)
    assert script.done == []
    assert script.timers.when("k") == 5.0


def test_what_is_cancelled_is_not_done() -> None:
    script = Script()
    script.set("k", 1.0)
    script.timers.cancel("k")
    script.timers.cancel("unknown")
    script.timers.run(2.0)
    assert (script.done, script.timers.deadline()) == ([], float("inf"))


def test_an_action_may_cancel_and_move_what_is_due_with_it() -> None:
    script = Script()

    def interfere(_now: float) -> None:
        script.timers.cancel("second")
        script.set("third", 9.0)

    script.timers.set("first", 1.0, interfere)
    script.set("second", 2.0)
    script.set("third", 2.0)
    script.timers.run(3.0)
    assert script.done == []
    assert script.timers.deadline() == 9.0


def test_an_action_that_sets_itself_again_does_not_run_for_ever() -> None:
    timers = Timers()
    runs = []

    def again(now: float) -> None:
        runs.append(now)
        timers.set("k", now, again)

    timers.set("k", 1.0, again)
    timers.run(1.0)
    assert runs == [1.0]


def test_what_is_overdue_can_be_moved_and_the_rest_stays() -> None:
    script = Script()
    for key, when in (("b", 2.0), ("a", 1.0), ("c", 11.0)):
        script.set(key, when)
    script.timers.forgive(10.0, 10.5)
    assert script.timers.deadline() == 10.5
    script.timers.run(11.0)
    assert [key for key, _ in script.done] == ["a", "b", "c"]


def test_moving_a_key_often_takes_no_memory() -> None:
    script = Script()
    for number in range(10_000):
        script.set("k", float(number))
    assert len(script.timers._heap) < 100
