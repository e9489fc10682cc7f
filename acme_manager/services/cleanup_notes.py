"""What leaders remember about clean-up, in the shared map.

A new leader knows it too. When all nodes were stopped it is gone: then what was revoked is revoked once more, which CAs
take, and destroyed one cycle later.
"""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet

from acme_manager.ports import SharedMap

_NOTES = "cleanup/"  # and the key of a secret: the serials revoked in it whose versions are still there, as JSON
_ROUND = "cleanup"  # when the latest round began, in Unix milliseconds


class CleanupNotes:
    """Reads are local; writes raise NotLeader and NoQuorum."""

    def __init__(self, shared: SharedMap) -> None:
        self._shared = shared

    def revoked(self, key: str) -> AbstractSet[str]:
        """The serials that earlier rounds have revoked in that secret."""
        return frozenset(json.loads(self._shared.get(_NOTES + key) or b"[]"))

    def note(self, key: str, serials: AbstractSet[str]) -> None:
        """From now on these serials and no others."""
        if serials == self.revoked(key):
            return
        if serials:
            self._shared.put(_NOTES + key, json.dumps(sorted(serials)).encode())
        else:
            self._shared.remove(_NOTES + key)

    def keep_only(self, there: AbstractSet[str]) -> None:
        """Forget secrets that are not there any more."""
        for key in [name.removeprefix(_NOTES) for name, _ in self._shared.items(_NOTES)]:
            if key not in there:
                self.note(key, frozenset())

    def begin(self, at: int) -> None:
        """A round begins, in Unix milliseconds."""
        self._shared.put(_ROUND, str(at).encode())

    def latest(self) -> int:
        """When the latest round began, on whichever node, in Unix milliseconds; 0: nobody knows of one."""
        return int(self._shared.get(_ROUND) or 0)
