from __future__ import annotations

import math

import pytest

from acme_manager.web.ring_picture import Node, Shape, describe, draw


def some(number: int) -> list[Node]:
    return [Node(name=f"node-{index}", state="alive", leads=index == 1) for index in range(1, number + 1)]


@pytest.mark.parametrize("number", [1, 2, 3, 5, 12, 13, 50])
def test_any_number_of_nodes_stands_on_the_circle_apart_and_inside_the_picture(number: int) -> None:
    picture = draw(some(number))
    places = [(spot.x, spot.y) for spot in picture.spots]
    assert all(math.hypot(*place) == pytest.approx(picture.radius, abs=0.2) for place in places)
    assert places[0] == (0.0, -picture.radius)  # the first is at the top
    gaps = [math.dist(one, other) for at, one in enumerate(places) for other in places[:at]]
    assert min(gaps, default=math.inf) > 2 * picture.size
    for spot in picture.spots:
        assert picture.left < spot.text_x < picture.left + picture.width
        assert picture.top < spot.text_y < picture.top + picture.height


def test_a_state_is_told_by_shape_and_word_and_in_the_sentence() -> None:
    nodes = [
        Node(name="a", state="alive", leads=True),
        Node(name="b", state="suspect"),
        Node(name="c", state="dead"),
        Node(name="d", state="left", voter=False),
        Node(name="e", state="missing"),
    ]
    drawn = {spot.name: (spot.shape, spot.words) for spot in draw(nodes).spots}
    assert drawn == {
        "a": (Shape.CIRCLE, "leads"),
        "b": (Shape.TRIANGLE, "suspect"),
        "c": (Shape.SQUARE, "dead"),
        "d": (Shape.DASHED, "left, no vote"),
        "e": (Shape.SQUARE, "missing"),
    }
    assert describe(nodes) == (
        "A ring of 5 nodes; a leads; 1 of 4 voters are there and 3 are needed; b is suspect; c is dead; d is left;"
        " e is missing; d has no vote."
    )


def test_a_long_name_is_cut_in_the_picture_and_whole_in_the_sentence() -> None:
    picture = draw([Node(name="node-with-a-very-long-name", state="alive")])
    assert picture.spots[0].name == "node-with-a-ver…"
    assert picture.sentence.startswith("A ring of 1 node; nobody leads")
    assert "node-with-a-very-long-name is dead" in describe([Node(name="node-with-a-very-long-name", state="dead")])
