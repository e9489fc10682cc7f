"""What every read is answered from: the metadata of all certificates and all tokens, in memory.

Storage is the truth; this is the copy that makes a list or an authentication cost no request to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import attrs
import trio

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.token import Token
from acme_manager.errors import StorageUnavailable

T = TypeVar("T")


class Table(Generic[T]):
    """Records by key, iterated in the order of their keys."""

    def __init__(self) -> None:
        self._records: dict[str, T] = {}
        self._sorted: list[str] | None = []

    def get(self, key: str) -> T | None:
        """The record under that key, if there is one."""
        return self._records.get(key)

    def put(self, key: str, record: T) -> None:
        """Add or replace a record."""
        if key not in self._records:
            self._sorted = None
        self._records[key] = record

    def remove(self, key: str) -> None:
        """Forget a record; one that is not there is no error."""
        if self._records.pop(key, None) is not None:
            self._sorted = None

    def items(self) -> Iterator[tuple[str, T]]:
        """Every key with its record."""
        if self._sorted is None:
            self._sorted = sorted(self._records)
        return ((key, self._records[key]) for key in self._sorted)

    def __len__(self) -> int:
        return len(self._records)


@attrs.frozen
class State:
    """The tables of this node. Until `loaded` is set they are incomplete, and nothing may be concluded from a gap."""

    certificates: Table[Certificate] = attrs.field(factory=Table)
    tokens: Table[Token] = attrs.field(factory=Table)
    loaded: trio.Event = attrs.field(factory=trio.Event)

    def require_loaded(self) -> None:
        """Raise StorageUnavailable while the tables are incomplete."""
        if not self.loaded.is_set():
            raise StorageUnavailable("this node has not read the certificates and tokens from storage yet", 2.0)

    async def health(self) -> str | None:
        """None once everything has been read (see Health)."""
        return None if self.loaded.is_set() else "certificates and tokens have not been read from storage yet"
