"""A picture of the ring, as numbers: where each node stands, how it is drawn, and all of it in a sentence. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import attrs

_FEW = 12  # with more, names stand along the rays
_LONGEST = 16  # characters of a name; the list beside the picture has the rest
_RADIUS, _GAP, _ROOM = 92.0, 10.0, 20.0  # of the circle; from a node to its name; along the circle for each of many
_LARGE, _SMALL = 15.0, 7.0  # of a node


class Shape(StrEnum):
    """How a node is drawn: its state is told by shape, colour and word."""

    CIRCLE = "circle"
    TRIANGLE = "triangle"
    SQUARE = "square"
    DASHED = "dashed"


SHAPES = {"suspect": Shape.TRIANGLE, "dead": Shape.SQUARE, "missing": Shape.SQUARE, "left": Shape.DASHED}


@attrs.frozen(kw_only=True)
class Node:
    """A member; `state` is a word, such as `alive`, `joining`, `suspect`, `dead`, `left` or `missing`."""

    name: str
    state: str
    leads: bool = False
    voter: bool = True


@attrs.frozen(kw_only=True)
class Spot:
    """A node in the picture; numbers are in its units."""

    node: Node
    shape: Shape
    x: float
    y: float
    text_x: float
    text_y: float
    anchor: str  # text-anchor
    turned: str  # a transform of the text, or empty
    name: str
    words: str


@attrs.frozen(kw_only=True)
class Picture:
    """`size` is that of a node, `radius` the circle's; its centre is (0, 0)."""

    left: float
    top: float
    width: float
    height: float
    radius: float
    size: float
    many: bool
    spots: Sequence[Spot]
    sentence: str


def draw(nodes: Sequence[Node]) -> Picture:
    """Put any number of nodes on a circle, the first at the top and the others clockwise."""
    many = len(nodes) > _FEW
    radius, size = (max(_RADIUS, len(nodes) * _ROOM / math.tau), _SMALL) if many else (_RADIUS, _LARGE)
    spots = [_spot(node, number / len(nodes), radius, size, many) for number, node in enumerate(nodes)]
    reach = max((_reach(spot, many) for spot in spots), default=0)
    across = radius + size + _GAP + reach
    top, bottom = across, across
    if not many:
        top, bottom = radius + size + _GAP + 32, max([radius + size, *(spot.text_y + 24 for spot in spots)])
    return Picture(
        left=round(-across),
        top=round(-top),
        width=round(2 * across),
        height=round(top + bottom),
        radius=round(radius, 1),
        size=size,
        many=many,
        spots=spots,
        sentence=describe(nodes),
    )


def describe(nodes: Sequence[Node]) -> str:
    """The picture in words, for those who don't see it."""
    leaders = [node.name for node in nodes if node.leads]
    voters = [node for node in nodes if node.voter]
    there = sum(node.state == "alive" for node in voters)
    parts = [
        f"A ring of {len(nodes)} node{'' if len(nodes) == 1 else 's'}",
        f"{leaders[0]} leads" if leaders else "nobody leads",
        f"{there} of {len(voters)} voters are there and {len(voters) // 2 + 1} are needed",
    ]
    parts += [f"{node.name} is {node.state}" for node in nodes if node.state != "alive"]
    parts += [f"{node.name} has no vote" for node in nodes if not node.voter]
    return "; ".join(parts) + "."


def _spot(node: Node, part: float, radius: float, size: float, many: bool) -> Spot:
    angle = part * math.tau  # from the top, clockwise
    right, up = math.sin(angle), math.cos(angle)
    far = radius + size + _GAP
    left_half = right < -0.01
    anchor = "end" if left_half else "start"
    turned, lift = "", 0.0
    if many:
        degrees = math.degrees(angle) - 90 + (180 if left_half else 0)
        turned = f"rotate({degrees:.1f} {right * far:.1f} {-up * far:.1f})"
    elif abs(right) < 0.2:
        anchor, lift = "middle", -18.0 if up > 0 else 12.0
    return Spot(
        node=node,
        shape=SHAPES.get(node.state, Shape.CIRCLE),
        x=round(right * radius, 1),
        y=round(-up * radius, 1),
        text_x=round(right * far, 1),
        text_y=round(-up * far + lift, 1),
        anchor=anchor,
        turned=turned,
        name=_short(node.name),
        words=", ".join(_words(node)),
    )


def _reach(spot: Spot, many: bool) -> float:
    """How far its text goes: on one line where there are many, else on two."""
    return 7.8 * (len(spot.name) + 1 + len(spot.words)) if many else 10.0 * max(len(spot.name), len(spot.words))


def _words(node: Node) -> list[str]:
    said = ["leads"] if node.leads else []
    if node.state != "alive":
        said.append(node.state)
    return [*said, *([] if node.voter else ["no vote"])]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
