"""Whether something about an owner's certificates has changed, for those who wait for it on this node.

A change wakes its owner's waiters and nobody else, and costs one hash, however many of them there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.digest import digest_text, weight
from acme_manager.domain.gotime import parse_time
from acme_manager.domain.token import NEVER, Token
from acme_manager.ports import Clock
from acme_manager.services.state import State

_OWNER, _TOKEN = "owner", "token"


class Changes:
    """`following` has to be entered before anything is asked."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state, self._clock = state, clock
        self._counted: dict[str, tuple[str, int]] = {}  # owner and weight, by the certificate's key
        self._totals: dict[str, int] = {}
        self._listings: dict[str, tuple[Certificate, ...]] = {}
        self._waiters: dict[tuple[str, str], set[trio.Event]] = {}
        self._closed = False

    @contextmanager
    def following(self) -> Iterator[None]:
        """Note changes for the length of a block."""
        with (
            self._state.certificates.watched_by(self._certificate_changed),
            self._state.tokens.watched_by(lambda token: self._wake((_TOKEN, token))),
        ):
            for key, _certificate in self._state.certificates.items():  # noqa: PERF102 no dict
                self._certificate_changed(key)
            yield

    async def close_when(self, stopping: trio.Event) -> None:
        """Once that is set, end every wait and begin no more: an orderly stop is not to be held up by them."""
        await stopping.wait()
        self._closed = True
        for events in self._waiters.values():
            for event in events:
                event.set()

    def digest(self, owner: str) -> str:
        """What an owner's certificates are like: the same on every node that has the same (domain/digest.py)."""
        return digest_text(self._totals.get(owner, 0))

    def listing(self, owner: str) -> tuple[Certificate, ...]:
        """What there is of an owner's; looked for once for each change."""
        if owner not in self._listings:
            prefix = f"{owner}/"
            found = tuple(one for key, one in self._state.certificates.items() if key.startswith(prefix))
            self._listings[owner] = found
        return self._listings[owner]

    async def wait(self, caller: Token, known: str, seconds: float) -> str:
        """Return the digest of the caller's certificates once it is not `known`, after `seconds` at the latest.

        It returns earlier when the token changes, is revoked or expires, and when the server stops.
        """
        event, subjects = trio.Event(), ((_OWNER, caller.username), (_TOKEN, caller.id))
        for subject in subjects:
            self._waiters.setdefault(subject, set()).add(event)
        try:
            if self.digest(caller.username) == known and not self._closed:
                with trio.move_on_after(min(seconds, self._left(caller))):
                    await event.wait()
        finally:
            for subject in subjects:
                self._waiters[subject].discard(event)
                if not self._waiters[subject]:
                    del self._waiters[subject]
        return self.digest(caller.username)

    def _left(self, caller: Token) -> float:
        """Seconds until the token expires."""
        if caller.expires == NEVER:
            return float("inf")
        return max(0.0, (parse_time(caller.expires) - self._clock.now()).total_seconds())

    def _certificate_changed(self, key: str) -> None:
        owner, before = self._counted.pop(key, ("", 0))
        certificate = self._state.certificates.get(key)
        after = 0
        if certificate is not None:
            owner, after = key.partition("/")[0], weight(certificate)
            self._counted[key] = owner, after
        if after == before:
            return
        self._totals[owner] = self._totals.get(owner, 0) + after - before
        if not self._totals[owner]:
            del self._totals[owner]
        self._listings.pop(owner, None)
        self._wake((_OWNER, owner))

    def _wake(self, subject: tuple[str, str]) -> None:
        for event in self._waiters.get(subject, ()):
            event.set()
