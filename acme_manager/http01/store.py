"""The Solver port for http-01 over a store that web servers answer from (RFC 8555 section 8.3)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import attrs
import structlog
import trio

from acme_manager.errors import ChallengeFailed
from acme_manager.ports import Challenge, Trace
from acme_manager.structure import together

_log = structlog.get_logger(__name__)

HTTP01 = "http-01"
WELL_KNOWN = ".well-known/acme-challenge"
_CLEAN_UP = 10.0  # seconds
_AT_ONCE = 16
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}")  # of base64url (RFC 8555 section 8.1): no slash and no dot


class Store(Protocol):
    """One place that answers lie in."""

    def place(self) -> Mapping[str, str]:
        """What finds it again, also when the configuration has come to name another. No secrets."""
        ...

    async def put(self, token: str, answer: str) -> None:
        """Have `/.well-known/acme-challenge/<token>` answered. Raises ChallengeFailed."""
        ...

    async def remove(self, token: str) -> None:
        """Have it answered no more; an answer that is not there is no error. Raises ChallengeFailed."""
        ...


Opener = Callable[[Mapping[str, str]], Store]
"""Makes a store of what its `place` said. Raises ChallengeFailed when it can't be used."""


@attrs.frozen
class StoreSolver:
    """Puts answers into one store. What other processes of ours left is removed from the store that they used."""

    name: str  # as `http_challenge` has it
    store: Store
    openers: Mapping[str, Opener]  # the stores that there are, by that name

    @property
    def type(self) -> str:
        """Always `http-01`."""
        return HTTP01

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        """Raises ChallengeFailed for a token that the RFC does not allow: it becomes part of paths."""
        for one in challenges:
            _check(one.token)
        place = self.store.place()
        return [
            {**place, "type": HTTP01, "store": self.name, "token": one.token, "answer": one.key_authorization}
            for one in challenges
        ]

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:
        """Put all answers there, and remove them at the end, in a bounded time. Raises ChallengeFailed on entry."""

        async def put(trace: Trace) -> None:
            await self.store.put(trace["token"], trace["answer"])

        try:
            await together(put, traces, at_once=_AT_ONCE)
            yield
        finally:
            with trio.move_on_after(_CLEAN_UP, shield=True) as scope:
                for error in await self._failures(traces):
                    _log.warning("http-01 answer left behind", store=self.name, reason=str(error))
            if scope.cancelled_caught:
                _log.warning("http-01 answers left behind", store=self.name, reason="there was no time left")

    async def remove(self, traces: Sequence[Trace]) -> None:
        """Remove what an earlier process left. Tries all, then raises ChallengeFailed."""
        failures = await self._failures(traces)
        if failures:
            raise ChallengeFailed("; ".join(dict.fromkeys(map(str, failures))))

    async def _failures(self, traces: Sequence[Trace]) -> list[ChallengeFailed]:
        failures: list[ChallengeFailed] = []

        async def one(trace: Trace) -> None:
            try:
                await self._store_of(trace).remove(_check(trace["token"]))
            except ChallengeFailed as error:
                failures.append(error)

        await together(one, traces, at_once=_AT_ONCE)
        return failures

    def _store_of(self, trace: Trace) -> Store:
        name = trace.get("store", "")
        if trace.get("type") != HTTP01 or name not in self.openers or "token" not in trace:
            raise ChallengeFailed(f"a stored trace is not one of a store for http-01 ({trace.get('type', 'no type')})")
        return self.openers[name](trace)


def _check(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise ChallengeFailed("the CA's token has characters that RFC 8555 section 8.1 does not allow")
    return token
