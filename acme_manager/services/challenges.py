"""Answers that lie in the shared map, so that the CA may ask any node: http-01 at `/.well-known/acme-challenge/`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import trio

from acme_manager.errors import ChallengeFailed, ChallengeNotFound, Unavailable
from acme_manager.ports import Challenge, SharedMap, Trace

_PREFIX = "challenge/"
_PATIENCE = 2.0  # seconds that an answer may need from the leader to here
_MOST_WAITING = 64  # requests for answers that are not here; beyond, somebody is only trying names out


class Arrivals:
    """Finds entries of the shared map that may still be on their way from the leader to this node."""

    def __init__(self, shared: SharedMap, leads: Callable[[], bool]) -> None:
        self._shared, self._leads = shared, leads
        self._waiting = 0

    async def find(self, key: str) -> bytes | None:
        """The value under a key.

        The CA may be here before the leader's news is, and most CAs ask only once: so the others wait for it a little.
        """
        if self._shared.get(key) is None and not self._leads() and self._waiting < _MOST_WAITING:
            await self._wait_for(key)
        return self._shared.get(key)

    async def _wait_for(self, key: str) -> None:
        arrived = trio.Event()

        def changed(which: str, value: bytes | None) -> None:
            if which == key and value is not None:
                arrived.set()

        self._waiting += 1
        try:
            with self._shared.watch(key, changed), trio.move_on_after(_PATIENCE):
                await arrived.wait()
        finally:
            self._waiting -= 1


class HttpChallenges:
    """A Solver for http-01 (RFC 8555 section 8.3). The configuration calls it `kvring`."""

    type = "http-01"

    def __init__(self, shared: SharedMap, leads: Callable[[], bool]) -> None:
        self._shared, self._arrivals = shared, Arrivals(shared, leads)

    async def answer(self, token: str) -> str:
        """The key authorization for a token. Raises ChallengeNotFound."""
        found = await self._arrivals.find(_PREFIX + token)
        if found is None:
            raise ChallengeNotFound(token)
        return found.decode()

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        """The traces hold the whole answer: another process serves them if this one dies."""
        return [{"token": one.token, "answer": one.key_authorization} for one in challenges]

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:
        """Serve the answers for the length of the block."""
        for trace in traces:
            self._shared.put(_PREFIX + trace["token"], trace["answer"].encode())
        try:
            yield
        finally:
            self._stop(traces)

    async def remove(self, traces: Sequence[Trace]) -> None:
        """Stop serving. Raises ChallengeFailed for what another kind of solver has left."""
        own = [one for one in traces if "token" in one and "type" not in one]
        self._stop(own)
        if len(own) < len(traces):
            raise ChallengeFailed("the challenge was presented in another way than by kvring, before it was configured")

    def _stop(self, traces: Sequence[Trace]) -> None:
        with suppress(Unavailable):  # whoever leads now has the order's record, and with it the traces
            for trace in traces:
                self._shared.remove(_PREFIX + trace["token"])
