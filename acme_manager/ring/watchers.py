"""Who wants to know about changes of the shared map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import structlog

from acme_manager.ring.entries import Entry

_log = structlog.get_logger(__name__)

Changed = Callable[[str, bytes | None], None]


class Watchers:
    """Callbacks by prefix, called one after the other, before whoever made the change goes on."""

    def __init__(self) -> None:
        self._watchers: list[tuple[str, Changed]] = []

    @contextmanager
    def watch(self, prefix: str, changed: Changed, present: Iterable[tuple[str, bytes]]) -> Iterator[None]:
        """For the length of a block; `present` is told at once."""
        watcher = (prefix, changed)
        self._watchers.append(watcher)
        try:
            for key, value in present:
                changed(key, value)
            yield
        finally:
            self._watchers.remove(watcher)

    def tell(self, entries: Iterable[Entry]) -> None:
        """These are new. A watcher that raises is a bug of that watcher, and keeps nobody else from being told."""
        for entry in entries:
            for prefix, changed in tuple(self._watchers):
                if entry.key.startswith(prefix):
                    self._tell(changed, entry)

    def _tell(self, changed: Changed, entry: Entry) -> None:
        try:
            changed(entry.key, entry.value)
        except Exception:  # noqa: BLE001 see above
            _log.exception("a watcher of the shared map failed", key=entry.key)
