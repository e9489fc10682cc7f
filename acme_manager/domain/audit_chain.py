"""The chain that the audit log's segments form: each has the digest of the one before, so that a change shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

from acme_manager.domain.audit import Entry, entry_from_json, entry_to_json

MOST_BREAKS = 20  # that are told of


@attrs.frozen(kw_only=True)
class Segment:
    """Some entries that were stored together. The first is number 1, and has nothing `before` it."""

    number: int
    before: str
    entries: tuple[Entry, ...]


@attrs.frozen(kw_only=True)
class Head:
    """Where the chain begins and ends: `before` is what its first segment says, `digest` is that of its last.

    `last` is 0 while there is no segment, and `entry` the number of the newest entry.
    """

    first: int = 1
    before: str = ""
    last: int = 0
    digest: str = ""
    entry: int = 0


@attrs.frozen
class Break:
    """A place where the chain is not as it was written."""

    segment: int
    words: str


def digest(record: Mapping[str, Any]) -> str:
    """SHA-256 of a stored segment, as it lies there, in hex."""
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def segment_to_json(segment: Segment) -> dict[str, Any]:
    """The secret in storage."""
    return {
        "number": segment.number,
        "before": segment.before,
        "entries": [entry_to_json(entry) for entry in segment.entries],
    }


def entries_of(record: Mapping[str, Any] | None) -> tuple[Entry, ...]:
    """The entries of a stored segment that can be read: one that somebody has changed must hide no other."""
    found = record.get("entries") if record is not None else None
    entries = []
    for one in found if isinstance(found, list) else ():
        try:
            entries.append(entry_from_json(one))
        except (ValueError, TypeError, AttributeError):
            continue
    return tuple(entries)


def head_from_json(record: Mapping[str, Any]) -> Head:
    """Raises ValueError."""
    try:
        first, last, entry = (int(record[name]) for name in ("first", "last", "entry"))
        return Head(first=first, before=str(record["before"]), last=last, digest=str(record["digest"]), entry=entry)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no head of the audit log: {error!r}") from error


class Check:
    """Goes along a chain, the oldest segment first, and notes where it is broken."""

    def __init__(self, before: str | None) -> None:
        self._digest = before  # of the segment before; None when that is not there
        self.breaks: list[Break] = []
        self.last = self.segments = self.entries = 0

    def take(self, number: int, record: Mapping[str, Any] | None) -> None:
        """What lies where segment `number` belongs."""
        self.last = number
        if record is None:
            self._note(number, "it is missing")
            self._digest = None
            return
        entries = record.get("entries")
        self.segments, self.entries = self.segments + 1, self.entries + len(entries_of(record))
        if record.get("number") != number:
            self._note(number, f"another one lies in its place, with the number {record.get('number')}")
        elif not isinstance(entries, list) or len(entries_of(record)) != len(entries):
            self._note(number, "it has entries that can't be read")
        if self._digest is not None and record.get("before") != self._digest:
            self._note(number, "the segment before it, or what it says of that, has been changed")
        self._digest = digest(record)

    def end(self, expected: str) -> None:
        """That was the last one, and `expected` is its digest as the head has it."""
        if self._digest is not None and self._digest != expected:
            self.breaks = self.breaks[: MOST_BREAKS - 1]
            self.breaks.append(Break(self.last, "it is not the one that was written last"))

    def _note(self, number: int, words: str) -> None:
        if len(self.breaks) < MOST_BREAKS:
            self.breaks.append(Break(number, words))
