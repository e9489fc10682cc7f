"""http-01 answers that every node serves at `/.well-known/acme-challenge/` (RFC 8555 section 8.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from acme_manager.errors import ChallengeNotFound, Unavailable
from acme_manager.ports import Challenge, SharedMap, Trace

_PREFIX = "challenge/"


class HttpChallenges:
    """A Solver for http-01 whose answers lie in the shared map, so that the CA may ask any node.

    The configuration calls it `kvring`.
    """

    type = "http-01"

    def __init__(self, shared: SharedMap) -> None:
        self._shared = shared

    def answer(self, token: str) -> str:
        """The key authorization for a token. Raises ChallengeNotFound."""
        found = self._shared.get(_PREFIX + token)
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
        """Stop serving."""
        self._stop(traces)

    def _stop(self, traces: Sequence[Trace]) -> None:
        with suppress(Unavailable):  # whoever leads now has the order's record, and with it the traces
            for trace in traces:
                self._shared.remove(_PREFIX + trace["token"])
