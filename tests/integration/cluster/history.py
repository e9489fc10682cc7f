"""What happened in a campaign, and whether it may have: a pure function from the one to a list of complaints.

Every key has one writer, which asks for one thing after the other. The rules:

1. At the end each node and storage show the last acknowledged write of a key, or a later one whose outcome its writer
   never learnt: so nothing acknowledged is lost, replaced by something older, or comes back after its deletion; and
   what was refused was not done.
2. All nodes show the same as storage.
3. The versions that storage has kept of a key are in the order in which they were asked for.
4. A certificate is not ordered twice without cause: of two orders with the same signing request, the earlier one must
   have failed at the CA, or must have had no record in storage when its holder stopped leading. (Each wish of the
   writers has a signing request of its own; repeating a wish repeats the request.)
5. A running node that has once answered a read goes on answering reads, whatever is cut, lost, slow, or sealed.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import attrs


class Outcome(enum.StrEnum):
    """What the writer was told."""

    DONE = "acknowledged"
    REFUSED = "refused"  # with an answer that promises that nothing was done
    UNKNOWN = "of unknown outcome"


@attrs.frozen
class Write:
    """A wish to have a key in a state; None is to have it gone. No two writes of a key wish for the same state."""

    key: str
    state: str | None
    outcome: Outcome
    told: str = attrs.field(default="", eq=False)  # each answer, in words


@attrs.frozen(kw_only=True)
class Order:
    """An order that the CA took. `request` is the signing request that it was finalized or recorded with, if any."""

    url: str
    request: str = ""
    recorded: bool = False  # in storage, which has said so
    failed: bool = False  # the CA has called it invalid


@attrs.frozen(kw_only=True)
class History:
    """Everything that is known, when all is calm again."""

    writes: Sequence[Write]  # each writer's in order
    shown: Mapping[str, Mapping[str, str]]  # by node, the state of each key that it shows
    stored: Mapping[str, Sequence[str | None]]  # the versions of each key, oldest first; None: deleted, or not kept
    orders: Sequence[Order] = ()  # in the order in which the CA took them
    reads_refused: Sequence[str] = ()  # by nodes that ran, in words


def check(history: History) -> list[str]:
    """Everything that must not have happened, in words; empty when all is well."""
    return [
        *_final_states(history),
        *_differences(history),
        *_versions(history),
        *_orders(history),
        *(f"a read was not answered: {one}" for one in history.reads_refused),
    ]


def _final_states(history: History) -> Iterator[str]:
    stored = {key: versions[-1] for key, versions in history.stored.items() if versions and versions[-1] is not None}
    places = {**history.shown, "storage": stored}
    wishes = _by_key(history)
    for key in sorted({*wishes, *(key for states in places.values() for key in states)}):
        writes, wrong = wishes.get(key, []), dict[str | None, list[str]]()
        for place, states in places.items():
            if states.get(key) not in _allowed(writes):
                wrong.setdefault(states.get(key), []).append(place)
        for state, where in wrong.items():
            yield f"{key} is {_text(state)} at {', '.join(where)}, but its writes were{_told(writes)}"


def _told(writes: Sequence[Write]) -> str:
    lines = [f"\n    {_text(write.state)}: {write.outcome} {write.told}".rstrip() for write in writes]
    return "".join(lines) or " none"


def _allowed(writes: Sequence[Write]) -> set[str | None]:
    last = _last_done(writes)
    certain = writes[last].state if last is not None else None
    later = writes[0 if last is None else last + 1 :]
    return {certain, *(write.state for write in later if write.outcome is Outcome.UNKNOWN)}


def _last_done(writes: Sequence[Write]) -> int | None:
    return max((number for number, write in enumerate(writes) if write.outcome is Outcome.DONE), default=None)


def _differences(history: History) -> Iterator[str]:
    for key, versions in history.stored.items():
        current = versions[-1] if versions else None
        for node, states in history.shown.items():
            if states.get(key) != current:
                yield f"{key} is {_text(states.get(key))} at {node} and {_text(current)} in storage"


def _versions(history: History) -> Iterator[str]:
    for key, writes in _by_key(history).items():
        numbers = {write.state: number for number, write in enumerate(writes)}
        kept = [state for state in history.stored.get(key, ()) if state is not None]
        for earlier, later in pairwise(kept):
            if numbers.get(later, -1) < numbers.get(earlier, -1):
                yield f"{key} became {_text(later)} in storage after it had been {_text(earlier)}, which is newer"


def _orders(history: History) -> Iterator[str]:
    latest: dict[str, Order] = {}
    for order in history.orders:
        before = latest.get(order.request) if order.request else None
        if before is not None and before.recorded and not before.failed:
            yield f"{order.url} repeats {before.url}, which was on record and had not failed"
        latest[order.request] = order


def _by_key(history: History) -> dict[str, list[Write]]:
    found: dict[str, list[Write]] = {}
    for write in history.writes:
        found.setdefault(write.key, []).append(write)
    return found


def _text(state: str | None) -> str:
    return "absent" if state is None else f"'{state}'"
