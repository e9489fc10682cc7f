"""The record in storage that orders the terms of leaders. See docs/leadership.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

_OWNER = ".acme-manager"  # the Go original's cleanup worker reads this record as a certificate, and wants an owner


@attrs.frozen(kw_only=True)
class Fence:
    """Who won a term, and over whom its next majority counts.

    `voters` is sorted and holds every name once. `since` is when the term began, as RFC 3339 text, for people; nothing
    is decided by it.
    """

    term: int
    holder: str
    voters: tuple[str, ...]
    since: str = ""


def fence_to_json(fence: Fence) -> dict[str, Any]:
    """The record as it is kept in storage."""
    return {"owner": _OWNER, **attrs.asdict(fence), "voters": list(fence.voters)}


def fence_from_json(record: Mapping[str, Any]) -> Fence:
    """Read the record back. Raises ValueError naming the field; fields that we don't know are ignored."""
    return Fence(
        term=_term(record.get("term")),
        holder=_name(record.get("holder"), "holder"),
        voters=_voters(record.get("voters")),
        since=str(record.get("since") or ""),
    )


def _term(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"the fence record's 'term' is {value!r}, where a whole number above 0 belongs")
    return value


def _voters(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"the fence record's 'voters' are {value!r}, where a list of node names belongs")
    return tuple(sorted({_name(name, "voters") for name in value}))


def _name(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"the fence record's '{where}' holds {value!r}, where the name of a node belongs")
    return value
