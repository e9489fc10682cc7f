"""The steps of issuances, for whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from acme_manager.domain.certificate import CertificateId
from acme_manager.ports import Step

Listener = Callable[[CertificateId, Step], None]


class Progress:
    """Tells every listener about every step, at once and in order. A listener must neither block nor raise."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    @contextmanager
    def watched_by(self, listener: Listener) -> Iterator[None]:
        """Call `listener` for the length of a block."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def publish(self, id: CertificateId, step: Step) -> None:
        """A step has been taken."""
        for listener in tuple(self._listeners):
            listener(id, step)
