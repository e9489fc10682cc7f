"""The audit log in storage: segments that are written once, and a head that says which there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import structlog

from acme_manager.domain.audit import Entry
from acme_manager.domain.audit_chain import (
    Break,
    Check,
    Head,
    Segment,
    digest,
    entries_of,
    head_from_json,
    segment_to_json,
)
from acme_manager.errors import StaleVersion
from acme_manager.ports import Storage
from acme_manager.storage import keys
from acme_manager.structure import together

_log = structlog.get_logger(__name__)

_AT_ONCE = 4
_BATCH = 32  # segments that are in memory at a time
_MOST_REPEATED = 64  # segments in which an entry is looked for that an earlier leader may have stored
_MOST_PURGED = 200  # in one step; so many may be left behind by a leader that dies within it, and go with the next one


@attrs.frozen(kw_only=True)
class Verdict:
    """What a look along the chain has found. `next` is the segment to go on with, 0 when that was the last one."""

    first: int  # the oldest segment that is kept
    last: int
    segments: int  # that were looked at
    entries: int
    next: int
    breaks: tuple[Break, ...]


class AuditSegments:
    """Any node may read; the leader alone writes. All raise StorageUnavailable and StorageDenied."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage, self._prefix = storage, prefix

    async def head(self) -> Head:
        """Which segments there are."""
        return (await self._head())[0]

    async def append(self, entries: Sequence[Entry]) -> tuple[Head, Sequence[Entry]]:
        """Store entries as the next segment; returns the new head, and the entries that lie there.

        These are others where an earlier leader has written that segment without coming to an end with it. Raises
        StaleVersion when somebody else has changed the head meanwhile.
        """
        head, version = await self._head()
        segment = Segment(number=head.last + 1, before=head.digest, entries=tuple(entries))
        record: Mapping[str, Any] = segment_to_json(segment)
        key = keys.audit_segment_key(self._prefix, segment.number)
        try:
            await self._storage.put(key, record, expected=0)
        except StaleVersion:
            found = (await self._storage.get(key)).value
            _log.warning("segment of the audit log was there already, its entries count", segment=segment.number)
            record, entries = found or {}, entries_of(found)
        newest = max((entry.number for entry in entries), default=0)
        sealed = digest(record) if record else head.digest
        new = attrs.evolve(head, last=segment.number, digest=sealed, entry=max(head.entry, newest))
        await self._write(new, version)
        _log.info("audit log stored", segment=new.last, digest=new.digest, entries=len(entries))
        return new, entries

    async def newest(self, head: Head, down_to: int, most: int = _MOST_REPEATED) -> Sequence[Entry]:
        """The entries from that number on, in their order, but of no more than so many segments."""
        found: list[Entry] = []
        number = head.last
        while number >= max(head.first, head.last - most + 1) and (not found or found[0].number > down_to):
            found = [*await self.entries(number), *found]
            number -= 1
        return found

    async def entries(self, number: int) -> Sequence[Entry]:
        """Those of one segment; none where it is not there any more."""
        return entries_of(await self._record(number))

    async def page(self, newest: int, oldest: int) -> Sequence[Sequence[Entry]]:
        """The entries of each segment of a range, the newest segment first."""
        return await together(self.entries, range(newest, oldest - 1, -1), at_once=_AT_ONCE)

    async def locate(self, head: Head, fits: Callable[[Entry], bool]) -> int:
        """The last segment whose first entry fits, where those that fit come first; below `head.first` if none does."""
        low, high = head.first, head.last
        while low <= high:
            middle = (low + high) // 2
            entries = await self.entries(middle)
            if not entries or fits(entries[0]):
                low = middle + 1
            else:
                high = middle - 1
        return high

    async def verify(self, begin: int, most: int) -> Verdict:
        """Look along the chain from segment `begin` on, at no more than so many."""
        head = await self.head()
        begin = max(begin, head.first)
        end = min(head.last, begin + most - 1)
        check = Check(head.before)
        if begin > head.first:
            earlier = await self._record(begin - 1)
            check = Check(None if earlier is None else digest(earlier))
        for start in range(begin, end + 1, _BATCH):
            numbers = range(start, min(start + _BATCH, end + 1))
            for number, record in zip(numbers, await together(self._record, numbers, at_once=_AT_ONCE), strict=True):
                check.take(number, record)
        if end == head.last:
            check.end(head.digest)
        first = (await self.head()).first  # what has been purged meanwhile is not missing
        return Verdict(
            first=first,
            last=head.last,
            segments=check.segments,
            entries=check.entries,
            next=0 if end == head.last else end + 1,
            breaks=tuple(one for one in check.breaks if one.segment >= first),
        )

    async def purge(self, before: int) -> int:
        """Remove segments all of whose entries are from before that instant (Unix milliseconds); returns how many."""
        head, version = await self._head()
        number, sealed = head.first, head.before
        while number < min(head.last, head.first + _MOST_PURGED):  # the last one stays: the next is written after it
            record = await self._record(number)
            if any(entry.at >= before for entry in entries_of(record)):
                break
            number, sealed = number + 1, "" if record is None else digest(record)
        if number == head.first:
            return 0
        # First it is said that they are gone: nobody is to think that somebody has stolen them.
        await self._write(attrs.evolve(head, first=number, before=sealed), version)
        doomed = range(max(1, head.first - _MOST_PURGED), number)
        await together(
            self._storage.purge, [keys.audit_segment_key(self._prefix, one) for one in doomed], at_once=_AT_ONCE
        )
        return number - head.first

    async def _record(self, number: int) -> Mapping[str, Any] | None:
        return (await self._storage.get(keys.audit_segment_key(self._prefix, number))).value

    async def _write(self, head: Head, version: int) -> None:
        await self._storage.put(keys.audit_head_key(self._prefix), attrs.asdict(head), expected=version)

    async def _head(self) -> tuple[Head, int]:
        """With the version that lies there."""
        found = await self._storage.get(keys.audit_head_key(self._prefix))
        try:
            if found.value is not None:
                return head_from_json(found.value), found.version
        except ValueError as error:
            _log.error("head of the audit log can't be read, its segments are listed instead", error=str(error))
        return await self._listed(), found.version

    async def _listed(self) -> Head:
        """What the head should say, where it is not there: at the very first start, or after it was removed by hand."""
        own = keys.audit_head_key(self._prefix)
        found = [key for key in await self._storage.list(keys.audit_prefix(self._prefix)) if key != own]
        numbers = sorted(int(name) for key in found if (name := key.rpartition("/")[2]).isdecimal())
        if not numbers:
            return Head()
        oldest, newest = await self._record(numbers[0]), await self._record(numbers[-1])
        return Head(
            first=numbers[0],
            before=str((oldest or {}).get("before", "")),
            last=numbers[-1],
            digest="" if newest is None else digest(newest),
            entry=max((entry.number for entry in entries_of(newest)), default=0),
        )
