"""Looking for entries of the audit log: first in the shared map, then back through storage, a stretch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from acme_manager.domain.audit import Entry, Query
from acme_manager.domain.audit_chain import Head
from acme_manager.errors import InvalidRequest, StorageDenied, StorageUnavailable
from acme_manager.services.audit_segments import AuditSegments

_SEGMENTS_AT_ONCE = 16
_MOST_SEGMENTS = 128  # that one search reads
_SLACK = 3600 * 1000  # milliseconds by which the clocks of two leaders may differ

Place = tuple[int, int]  # an entry's number and its instant: after a loss of writes a number may be there twice


@attrs.frozen(kw_only=True)
class Found:
    """A page of entries, the newest first. `cursor` leads to the next one, also where this one is short.

    `back_to` is the instant of the oldest entry that was looked at, in Unix milliseconds, 0 for none; `trouble` says
    why storage could not be asked.
    """

    entries: Sequence[Entry]
    cursor: str
    complete: bool  # whether there is nothing more to look at
    back_to: int
    trouble: str = ""


class _Search:
    """One search on its way back."""

    def __init__(self, query: Query, limit: int, before: str) -> None:
        self._query, self._limit, self._before = query, limit, before
        self._end = _place(before)
        self.found: list[Entry] = []
        self._last: Entry | None = None  # that was looked at

    @property
    def number(self) -> float:
        """Only entries with a smaller number, or the same, are still to be looked at."""
        return self._last.number if self._last is not None else self._end[0] if self._end else float("inf")

    def look_at(self, entries: Iterable[Entry]) -> bool:
        """Take what matches, the newest first; whether the page is full then."""
        for entry in entries:
            if self._end is not None and (entry.number, entry.at) >= self._end:
                continue
            if len(self.found) >= self._limit:
                return True
            self._last = entry
            if self._query.matches(entry):
                self.found.append(entry)
        return False

    def result(self, *, complete: bool, trouble: str = "") -> Found:
        """The page as it is now."""
        last = self._last
        cursor = "" if complete else self._before if last is None else f"{last.number}.{last.at}"
        back_to = 0 if last is None else last.at
        return Found(entries=self.found, cursor=cursor, complete=complete, back_to=back_to, trouble=trouble)


async def search(recent: Sequence[Entry], segments: AuditSegments, query: Query, *, limit: int, before: str) -> Found:
    """Look through `recent` entries, the newest first, and then through storage. Raises InvalidRequest."""
    on_its_way = _Search(query, limit, before)
    if on_its_way.look_at(recent):
        return on_its_way.result(complete=False)
    if recent and (recent[-1].number == 1 or _all_earlier(recent[-1:], query)):
        return on_its_way.result(complete=True)
    try:
        return await _search_storage(on_its_way, segments, query, recent[-1].number if recent else float("inf"))
    except (StorageUnavailable, StorageDenied) as error:
        return on_its_way.result(complete=False, trouble=str(error))


async def _search_storage(on_its_way: _Search, segments: AuditSegments, query: Query, known: float) -> Found:
    """`known`: entries from that number on have been looked at."""
    head = await segments.head()
    number = await _start(on_its_way, segments, query, head, known)
    end = max(head.first, number - _MOST_SEGMENTS + 1)
    while number >= end:
        for entries in await segments.page(number, max(end, number - _SEGMENTS_AT_ONCE + 1)):
            if on_its_way.look_at(entry for entry in reversed(entries) if entry.number < known):
                return on_its_way.result(complete=False)
            if _all_earlier(entries, query):
                return on_its_way.result(complete=True)
        number -= _SEGMENTS_AT_ONCE
    return on_its_way.result(complete=end == head.first)


async def _start(on_its_way: _Search, segments: AuditSegments, query: Query, head: Head, known: float) -> int:
    """The newest segment that can have something."""
    until = query.until + _SLACK if query.until else float("inf")
    below = min(known, on_its_way.number + 1)
    if below == float("inf") and until == float("inf"):
        return head.last
    return await segments.locate(head, lambda entry: entry.number < below and entry.at <= until)


def _all_earlier(entries: Sequence[Entry], query: Query) -> bool:
    return bool(entries and query.since) and max(entry.at for entry in entries) < query.since - _SLACK


def _place(cursor: str) -> Place | None:
    if not cursor:
        return None
    number, dot, at = cursor.partition(".")
    if not (dot and all(one.isascii() and one.isdigit() and len(one) < 20 for one in (number, at))):
        raise InvalidRequest("'cursor' must be that of an earlier answer", "cursor")
    return int(number), int(at)
