"""tls-alpn-01 answers that every node gives by a certificate of its own making (RFC 8737, RFC 8738 section 6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import trio

from acme_manager.domain.names import parse_identifier
from acme_manager.domain.validation import make_validation_certificate, server_name
from acme_manager.errors import ChallengeFailed, ChallengeNotFound, Unavailable
from acme_manager.ports import Challenge, SharedMap, Trace
from acme_manager.services.challenges import Arrivals

_PREFIX = "tls-alpn/"


class TlsChallenges:
    """A Solver for tls-alpn-01. A CA asks by name, not by token, so orders for one name take turns."""

    type = "tls-alpn-01"

    def __init__(self, shared: SharedMap, leads: Callable[[], bool]) -> None:
        self._shared, self._arrivals = shared, Arrivals(shared, leads)
        self._turns: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)

    async def certificate(self, asked: str) -> bytes:
        """A new key and certificate in PEM that answer for a server name indication. Raises ChallengeNotFound."""
        found = await self._arrivals.find(_PREFIX + asked.lower())
        if found is None:
            raise ChallengeNotFound(asked)
        name, _, answer = found.decode().partition(" ")
        return make_validation_certificate(parse_identifier(name), answer)

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        """As for http-01, the traces hold the whole answer."""
        return [
            {"type": self.type, "name": one.identifier.value, "answer": one.key_authorization} for one in challenges
        ]

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:
        """Answer for the length of the block; it begins when no other order is being validated for these names."""
        entries = dict(map(_entry, traces))
        async with AsyncExitStack() as stack:
            for key in sorted(entries):  # the same order for all, or two might wait for each other
                await stack.enter_async_context(self._turn(key))
            for key, value in entries.items():
                self._shared.put(key, value)
            try:
                yield
            finally:
                self._stop(entries)

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        lock = self._turns[key]
        try:
            async with lock:
                yield
        finally:
            statistics = lock.statistics()
            if not statistics.locked and not statistics.tasks_waiting:
                self._turns.pop(key, None)

    async def remove(self, traces: Sequence[Trace]) -> None:
        """Stop answering. Raises ChallengeFailed for what another kind of solver has left."""
        own = [one for one in traces if one.get("type") == self.type]
        self._stop(dict(map(_entry, own)))
        if len(own) < len(traces):
            raise ChallengeFailed("the challenge was presented in another way, before tls-alpn-01 was configured")

    def _stop(self, entries: dict[str, bytes]) -> None:
        """Remove these answers; one that another order has put there since stays."""
        with suppress(Unavailable):  # whoever leads now has the order's record, and with it the traces
            for key, value in entries.items():
                if self._shared.get(key) == value:
                    self._shared.remove(key)


def _entry(trace: Trace) -> tuple[str, bytes]:
    return _PREFIX + server_name(parse_identifier(trace["name"])), f"{trace['name']} {trace['answer']}".encode()
