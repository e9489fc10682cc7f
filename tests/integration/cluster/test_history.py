"""The checker of histories sees each violation that is planted, and nothing in a history that is well."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.cluster.history import History, Order, Outcome, Write, check

DONE, REFUSED, UNKNOWN = Outcome.DONE, Outcome.REFUSED, Outcome.UNKNOWN


def a_history(**changed: Any) -> History:
    """Three keys: one changed twice, one deleted, one whose last change nobody knows the outcome of."""
    now = {"one": "b", "three": "x"}
    usual: dict[str, Any] = {
        "writes": [
            Write("one", "a", DONE),
            Write("one", "b", DONE),
            Write("one", "c", REFUSED),
            Write("two", "m", DONE),
            Write("two", None, DONE),
            Write("three", "x", DONE),
            Write("three", "y", UNKNOWN),
        ],
        "shown": {"n1": now, "n2": now, "n3": now},
        "stored": {"one": ["a", "b"], "two": [None], "three": ["x"]},
        "orders": [Order(url="/1", request="a", recorded=True), Order(url="/2", request="b", recorded=True)],
    }
    return History(**usual | changed)


def test_a_history_that_is_well_has_no_complaints() -> None:
    assert check(a_history()) == []


def test_a_write_of_unknown_outcome_may_have_been_done() -> None:
    now = {"one": "b", "three": "y"}
    stored = {"one": ["a", "b"], "two": [None], "three": ["x", "y"]}
    assert check(a_history(shown={"n1": now, "n2": now}, stored=stored)) == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"three": "x"}, "one is absent at n1, but"),  # lost
        ({"one": "a", "three": "x"}, "one is 'a' at n1, but"),  # replaced by something older
        ({"one": "c", "three": "x"}, "one is 'c' at n1, but"),  # refused, yet done
        ({"one": "z", "three": "x"}, "one is 'z' at n1, but"),  # made up
        ({"one": "b", "two": "m", "three": "x"}, "two is 'm' at n1, but"),  # came back
        ({"one": "b", "three": "x", "four": "q"}, "four is 'q' at n1, but its writes were none"),
    ],
)
def test_a_wrong_state_at_the_end_is_seen_on_a_node_and_in_storage(now: dict[str, str], said: str) -> None:
    assert any(one.startswith(said) for one in check(a_history(shown={"n1": now})))
    stored = {"two": [None], **{key: [state] for key, state in now.items()}}
    assert any(one.startswith(said.replace("n1", "storage")) for one in check(a_history(stored=stored)))


def test_an_unknown_write_from_before_the_last_acknowledged_one_may_not_win() -> None:
    writes = [Write("one", "a", DONE), Write("one", "b", UNKNOWN, "503, then nothing"), Write("one", "c", DONE)]
    assert check(History(writes=writes, shown={"n1": {"one": "b"}}, stored={"one": ["a", "c", "b"]})) == [
        "one is 'b' at n1, storage, but its writes were"
        "\n    'a': acknowledged\n    'b': of unknown outcome 503, then nothing\n    'c': acknowledged",
        "one became 'b' in storage after it had been 'c', which is newer",
    ]


def test_a_node_that_shows_something_else_than_storage_is_seen() -> None:
    behind = {"one": "b", "three": "y"}
    found = check(a_history(shown={"n1": {"one": "b", "three": "x"}, "n2": behind}))
    assert found == ["three is 'y' at n2 and 'x' in storage"]


def test_a_version_that_goes_back_is_seen_even_if_the_end_is_right() -> None:
    found = check(a_history(stored={"one": ["b", "a", "b"], "two": [None], "three": ["x"]}))
    assert found == ["one became 'a' in storage after it had been 'b', which is newer"]


def test_an_order_repeated_without_cause_is_seen() -> None:
    first = Order(url="/1", request="a", recorded=True)
    assert check(a_history(orders=[first, Order(url="/2", request="a")])) == [
        "/2 repeats /1, which was on record and had not failed"
    ]


@pytest.mark.parametrize(
    "first",
    [
        Order(url="/1", request="a"),  # nobody could know of it
        Order(url="/1", request="a", recorded=True, failed=True),
        Order(url="/1", request="other", recorded=True),
        Order(url="/1"),  # never finalized
    ],
)
def test_an_order_repeated_with_cause_is_not(first: Order) -> None:
    assert check(a_history(orders=[first, Order(url="/2", request="a", recorded=True)])) == []


def test_a_read_that_a_running_node_refused_is_seen() -> None:
    assert check(a_history(reads_refused=["n2 at 12.0 s: 503"])) == ["a read was not answered: n2 at 12.0 s: 503"]
