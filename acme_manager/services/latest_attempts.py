"""The newest attempt at each certificate that goes on or has come to nothing: an index of what attempts.py writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import structlog

from acme_manager.domain.attempt import Attempt, attempt_from_json
from acme_manager.ports import SharedMap
from acme_manager.services.attempts import PREFIX
from acme_manager.services.state import Table

_log = structlog.get_logger(__name__)


class LatestAttempts:
    """Every node has the same. What ended well is left out: the certificate says it all."""

    def __init__(self, shared: SharedMap) -> None:
        self._shared = shared
        self.open: Table[Attempt] = Table()  # by the certificate's key
        self._running: dict[str, Attempt] = {}

    @contextmanager
    def following(self) -> Iterator[None]:
        """Keep up with the shared map for the length of a block."""
        with self._shared.watch(PREFIX, self._changed):
            yield

    @property
    def running(self) -> Mapping[str, Attempt]:
        """Those that go on, or were cut off with their node; by the certificate's key."""
        return MappingProxyType(self._running)

    def forget(self, key: str) -> None:
        """What has failed is of no interest once its certificate has been removed on purpose."""
        if key not in self._running:
            self.open.remove(key)

    def _changed(self, key: str, value: bytes | None) -> None:
        key, attempt = key.removeprefix(PREFIX), _read(key, value)
        self._running.pop(key, None)
        if attempt is None:
            self.open.remove(key)
            return
        if attempt.running:
            self._running[key] = attempt
        self.open.put(key, attempt)


def _read(key: str, value: bytes | None) -> Attempt | None:
    """The newest one of an entry, if it is worth a thought."""
    try:
        found = json.loads(value or b"[]")
        attempt = attempt_from_json(found[0]) if found else None
    except (ValueError, LookupError, TypeError) as error:  # a node of another version wrote it
        _log.warning("attempt in the shared map can't be read, left out", key=key, error=str(error))
        return None
    return attempt if attempt is not None and attempt.failed_at is not None else None
