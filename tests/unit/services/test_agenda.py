from __future__ import annotations

from acme_manager.services.agenda import Agenda, Queue


def test_what_is_due_comes_earliest_first_and_only_once() -> None:
    agenda = Agenda()
    for key, at in {"b": 2.0, "a": 1.0, "c": 3.0}.items():
        agenda.put(key, at)
    assert agenda.next() == 1.0
    assert agenda.pop_due(2.0) == ["a", "b"]
    assert agenda.pop_due(2.5) == []
    assert (agenda.next(), len(agenda)) == (3.0, 1)


def test_a_key_that_is_moved_or_removed_leaves_nothing_behind() -> None:
    agenda = Agenda()
    for at in range(1000):
        agenda.put("a", float(at % 7))
        agenda.put("b", 50.0)
    agenda.remove("b")
    agenda.remove("nobody")
    assert agenda.pop_due(100.0) == ["a"]
    assert (agenda.next(), len(agenda)) == (None, 0)
    agenda.put("b", 50.0)
    assert agenda.pop_due(50.0) == ["b"]


def test_the_most_urgent_goes_first_and_what_waits_for_one_limit_waits_together() -> None:
    queue = Queue()
    for key, urgency in {"late": 9.0, "soon": 1.0, "later": 10.0, "soon too": 2.0}.items():
        queue.add(key, urgency)
        queue.add(key, 0.0)  # it is in there already
    assert queue.pop(0.0) == (1.0, "soon")
    queue.hold_back("soon", 1.0, "limit of a domain", until=100.0)
    assert queue.pop(0.0) == (2.0, "soon too")
    queue.hold_back("soon too", 2.0, "limit of a domain", until=90.0)
    assert (queue.waiting(), len(queue), "soon" in queue) == (2, 4, True)
    assert queue.pop(0.0) == (9.0, "late")
    queue.remove("later")
    assert queue.pop(0.0) is None
    assert queue.next() == 90.0
    assert queue.pop(95.0) == (1.0, "soon")
    assert queue.pop(95.0) == (2.0, "soon too")
    assert (queue.pop(95.0), queue.next(), len(queue)) == (None, None, 0)
