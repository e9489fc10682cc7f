"""The shared map, in the simplest form that keeps its promises: one stamp per entry, the higher one wins."""

from __future__ import annotations

import attrs

from tests.simulation.cluster.world import Broken


@attrs.frozen
class Entry:
    """What the map holds of a key: which version of the secret, and whether it is gone."""

    stamp: tuple[int, int]  # term, sequence
    version: int
    deleted: bool


class Copy:
    """One node's copy. A key's version never goes back in it, so nothing deleted or replaced shows up again."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._sequence = 0

    def write(self, term: int, key: str, version: int, *, deleted: bool) -> Entry:
        """The leader's change."""
        self._sequence += 1
        entry = Entry((term, self._sequence), version, deleted)
        self.merge({key: entry})
        return entry

    def merge(self, entries: dict[str, Entry]) -> None:
        for key, entry in entries.items():
            mine = self.entries.get(key)
            if mine is not None and mine.stamp >= entry.stamp:
                continue
            if mine is not None and entry.version < mine.version:
                raise Broken(f"6: a copy of {key} goes back from version {mine.version} to {entry.version}")
            self.entries[key] = entry

    def shown(self) -> dict[str, tuple[int, bool]]:
        return {key: (entry.version, entry.deleted) for key, entry in self.entries.items()}
