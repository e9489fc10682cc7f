"""Who still needs a record.

A CA may hand the same pending authorization to two orders (RFC 8555 section 7.4), which then need the very same TXT
value; the first to finish must not take it away from the second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from acme_manager.dns.challenge import Record


@attrs.define
class _Hold:
    holders: int = 0
    users: int = 0  # tasks that hold or wait for the lock; the entry goes when nobody needs it
    lock: trio.Lock = attrs.field(factory=trio.Lock)


class Holds:
    """Counts holders of records within this process, and lets one task at a time change a record."""

    def __init__(self) -> None:
        self._holds: dict[Record, _Hold] = {}

    def take(self, record: Record) -> None:
        """Become a holder: from now on nobody else removes the record."""
        self._holds.setdefault(record, _Hold()).holders += 1

    def drop(self, record: Record) -> None:
        """Stop being a holder."""
        self._holds[record].holders -= 1
        self._tidy(record)

    def held(self, record: Record) -> bool:
        """Whether somebody needs the record."""
        hold = self._holds.get(record)
        return hold is not None and hold.holders > 0

    @asynccontextmanager
    async def changing(self, record: Record) -> AsyncIterator[None]:
        """Be the only one to change a record."""
        hold = self._holds.setdefault(record, _Hold())
        hold.users += 1
        try:
            async with hold.lock:
                yield
        finally:
            hold.users -= 1
            self._tidy(record)

    def _tidy(self, record: Record) -> None:
        hold = self._holds[record]
        if not (hold.holders or hold.users):
            del self._holds[record]

    def __len__(self) -> int:
        return len(self._holds)
