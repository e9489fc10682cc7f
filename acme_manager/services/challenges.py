"""http-01 answers that this node serves at `/.well-known/acme-challenge/` (RFC 8555 section 8.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from acme_manager.errors import ChallengeNotFound
from acme_manager.ports import Challenge, Trace


class HttpChallenges:
    """A Solver for http-01 whose answers the API hands out. The configuration calls it `kvring`."""

    type = "http-01"

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}

    def answer(self, token: str) -> str:
        """The key authorization for a token. Raises ChallengeNotFound."""
        try:
            return self._answers[token]
        except KeyError:
            raise ChallengeNotFound(token) from None

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        """The traces hold the whole answer: another process serves them if this one dies."""
        return [{"token": one.token, "answer": one.key_authorization} for one in challenges]

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:
        """Serve the answers for the length of the block."""
        for trace in traces:
            self._answers[trace["token"]] = trace["answer"]
        try:
            yield
        finally:
            self._stop(traces)

    async def remove(self, traces: Sequence[Trace]) -> None:
        """Stop serving."""
        self._stop(traces)

    def _stop(self, traces: Sequence[Trace]) -> None:
        for trace in traces:
            self._answers.pop(trace["token"], None)
