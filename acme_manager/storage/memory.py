"""The Storage port in a dict, with Vault's version semantics. For tests, benchmarks and trying things out."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import trio

from acme_manager.errors import StaleVersion
from acme_manager.ports import Clock, Versioned, VersionInfo
from acme_manager.storage.keys import check_key, clean_prefix


@attrs.define
class _Version:
    info: VersionInfo
    value: Mapping[str, Any] | None


class MemoryStorage:
    """Keeps everything for as long as it lives.

    `fail_next` holds errors that the next calls raise, one each and in order, instead of doing anything; `down`, while
    set, is the error that every call raises.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._histories: dict[str, list[_Version]] = {}
        self.fail_next: list[Exception] = []
        self.down: Exception | None = None

    async def get(self, key: str, version: int | None = None) -> Versioned:
        """See ports.Storage."""
        history = await self._history(key)
        wanted = len(history) if version is None else version
        if not 1 <= wanted <= len(history):
            return Versioned(None, 0)
        found = history[wanted - 1]
        return Versioned(None if found.info.deleted else copy.deepcopy(found.value), wanted)

    async def put(self, key: str, value: Mapping[str, Any], *, expected: int) -> int:
        """See ports.Storage."""
        history = await self._history(key)
        if len(history) != expected:
            raise StaleVersion(key, expected)
        info = VersionInfo(expected + 1, self._clock.now(), deleted=False, destroyed=False)
        self._histories.setdefault(key, []).append(_Version(info, copy.deepcopy(dict(value))))
        return info.version

    async def delete(self, key: str) -> None:
        """See ports.Storage."""
        for newest in (await self._history(key))[-1:]:
            newest.info = attrs.evolve(newest.info, deleted=not newest.info.destroyed)

    async def list(self, prefix: str, *, skip: str = "") -> Sequence[str]:
        """See ports.Storage."""
        await self._checkpoint()
        start = clean_prefix(prefix) + "/"
        return sorted(
            key for key in self._histories if key.startswith(start) and not (skip and key.startswith(skip + "/"))
        )

    async def versions(self, key: str) -> Sequence[VersionInfo]:
        """See ports.Storage."""
        return [version.info for version in await self._history(key)]

    async def destroy(self, key: str, versions: Sequence[int]) -> None:
        """See ports.Storage."""
        for version in await self._history(key):
            if version.info.version in versions:
                version.info, version.value = attrs.evolve(version.info, destroyed=True), None

    async def purge(self, key: str) -> None:
        """See ports.Storage."""
        await self._history(key)
        self._histories.pop(key, None)

    async def _history(self, key: str) -> Sequence[_Version]:
        check_key(key)
        await self._checkpoint()
        return self._histories.get(key, ())

    async def _checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.fail_next:
            raise self.fail_next.pop(0)
        if self.down is not None:
            raise self.down
