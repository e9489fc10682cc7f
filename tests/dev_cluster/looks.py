"""What the nodes of a cluster say about themselves, and a table of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import httpx
import trio

from tests.bench.figures import table
from tests.parts.node import Node

_ANSWER = 2.0  # seconds that a node may take
_HEAD = ("name", "url", "pid", "state", "leader", "voter", "health", "term", "certificates")
_NOTHING = "-"

Answer = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Look:
    """One node at one moment; `answer` is its `/memberlist`, None when there was none."""

    name: str
    url: str
    pid: int | None  # None: it has ended
    answer: Answer | None


async def look_at(node: Node) -> Look:
    """Ask a node for its `/memberlist`."""
    answer: Answer | None = None
    if node.program.alive:
        try:
            async with node.anonymous() as client:
                answer = (await client.get("/memberlist", timeout=_ANSWER)).raise_for_status().json()
        except httpx.HTTPError:
            answer = None
    return Look(name=node.name, url=node.url, pid=node.program.pid if node.program.alive else None, answer=answer)


async def look_at_all(nodes: Sequence[Node]) -> list[Look]:
    """Ask all of them at once; the answers are in the nodes' order."""
    looks: dict[str, Look] = {}

    async def look(node: Node) -> None:
        looks[node.name] = await look_at(node)

    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(look, node)
    return [looks[node.name] for node in nodes]


def leader_of(looks: Sequence[Look]) -> Look | None:
    """Who has a term. Two of them never do; a process that has just died has none."""
    return next((one for one in looks if one.answer and one.answer["statistics"]["term"] is not None), None)


def describe(looks: Sequence[Look]) -> str:
    """A table with a row for each node.

    How a member is and who votes is told by the leader, or if nobody leads, by the first node that answers; health,
    term and the number of certificates by each node itself.
    """
    teller = leader_of(looks) or next((one for one in looks if one.answer), None)
    members = {one["name"]: one for one in teller.answer["members"]} if teller and teller.answer else {}
    voters = teller.answer["statistics"]["voters"] if teller and teller.answer else []
    return table([_HEAD, *(_row(look, members.get(look.name), look.name in voters) for look in looks)])


def _row(look: Look, member: Answer | None, voter: bool) -> tuple[str, ...]:
    pid = "ended" if look.pid is None else str(look.pid)
    state = _NOTHING if member is None else f"{member['state']} ({member['status']})"
    if look.answer is None:
        return (look.name, look.url, pid, state, "", _yes(voter), _NOTHING, _NOTHING, _NOTHING)
    own = look.answer["statistics"]
    return (
        look.name,
        look.url,
        pid,
        state,
        _yes(own["term"] is not None),
        _yes(voter),
        str(own["health_score"]),
        _NOTHING if own["term"] is None else str(own["term"]),
        str(own["map"]["keys"].get("certificate", 0)),
    )


def _yes(value: bool) -> str:
    return "yes" if value else ""
