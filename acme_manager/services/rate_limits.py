"""Limits of our own API: how often each owner may order the same certificate (`common.rate_limit_*`).

Counted is what reaches a CA. A place is taken before that, in one step, and given back when the request comes to
nothing before an order is placed. The counts are in the shared map, so the next leader knows them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Any

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry, Counter

from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.domain.rate_limit import Limit, Usage, give_back, limit_of, spend, usage_from_json
from acme_manager.domain.token import Token
from acme_manager.errors import IssuanceFailed, RateLimited, Unavailable
from acme_manager.ports import Clock, SharedMap, Step
from acme_manager.services.progress import Progress
from acme_manager.services.settings import Settings
from acme_manager.services.state import State

_log = structlog.get_logger(__name__)

_PREFIX = "ratelimit/"  # the Go original's name of these keys
_BATCH = 256  # entries between two chances for others to run


class Operation(StrEnum):
    """What is limited."""

    CREATE = "create"
    UPDATE = "update"


class RateLimits:
    """The counts, kept by the leader and readable on every node."""

    def __init__(
        self,
        shared: SharedMap,
        state: State,
        progress: Progress,
        clock: Clock,
        settings: Settings,
        registry: CollectorRegistry,
    ) -> None:
        self._shared, self._state, self._progress = shared, state, progress
        self._clock, self._settings = clock, settings
        self._blocked = Counter(
            "acme_manager_rate_limit_blocked",
            "Requests refused because of common.rate_limit_* or the token's own limits, by this node as the leader",
            ["issuer", "owner", "operation"],
            registry=registry,
        )

    @contextmanager
    def counted(self, caller: Token, wanted: Certificate, operation: Operation) -> Iterator[None]:
        """Count the order that is placed in the block, if one is. Raises RateLimited at once when there have been
        too many, and NotLeader or NoQuorum where that can't be written down."""
        if not self._settings.common.rate_limit_enabled:
            yield
            return
        spent = self._spend(caller, wanted, operation)
        asked = False

        def see(id: CertificateId, step: Step) -> None:
            nonlocal asked
            asked = asked or (id == wanted.id and step is Step.ORDERED)

        try:
            with self._progress.watched_by(see):
                yield
        except IssuanceFailed as error:
            asked = asked or error.problem is not None  # the CA has said no
            raise
        finally:
            if not asked:
                self._give_back(spent)

    def check(self, caller: Token, wanted: Certificate, operation: Operation) -> None:
        """Raise RateLimited if there have been too many, and count nothing."""
        if self._settings.common.rate_limit_enabled:
            self._with_one_more(caller, wanted, operation)

    def list(self, owner: str | None = None) -> Sequence[Usage]:
        """Everybody's counts, or one owner's, in the order of their keys."""
        prefix = _PREFIX if owner is None else f"{_PREFIX}{owner}/"
        found = (self._get(key) for key, _ in sorted(self._shared.items(prefix)))
        return [usage for usage in found if usage is not None]

    async def forget_expired(self) -> None:
        """As the leader, remove what no token of its owner can run into any more. Raises NotLeader, NoQuorum."""
        at, general = self._clock.now(), self._limit()
        longest: dict[str, float] = {}  # window of the tokens of each owner, in seconds
        for token in [token for _, token in self._state.tokens.items()]:
            longest[token.username] = max(limit_of(token, general).window, longest.get(token.username, 0))
        for number, (key, _) in enumerate(tuple(self._shared.items(_PREFIX))):
            usage = self._get(key)
            if usage is None or at > usage.end(max(usage.window, longest.get(usage.owner, 0))):
                self._shared.remove(key)
            if number % _BATCH == 0:
                await trio.lowlevel.checkpoint()

    def _spend(self, caller: Token, wanted: Certificate, operation: Operation) -> Usage:
        spent = self._with_one_more(caller, wanted, operation)
        self._put(_PREFIX + wanted.id.key, spent)
        return spent

    def _with_one_more(self, caller: Token, wanted: Certificate, operation: Operation) -> Usage:
        used = self._get(_PREFIX + wanted.id.key)
        try:
            return spend(used, wanted.id, limit_of(caller, self._limit()), self._clock.now())
        except RateLimited:
            self._blocked.labels(wanted.issuer, wanted.owner, operation).inc()
            raise

    def _give_back(self, spent: Usage) -> None:
        key = _PREFIX + spent.id.key
        left = give_back(self._get(key), spent)
        with suppress(Unavailable):  # it does not lead any more: the place stays taken until the window ends
            if left is None:
                self._shared.remove(key)
            else:
                self._put(key, left)

    def _limit(self) -> Limit:
        common = self._settings.common
        return Limit(common.rate_limit_window, common.rate_limit_max_requests)

    def _get(self, key: str) -> Usage | None:
        value = self._shared.get(key)
        try:
            return None if value is None else usage_from_json(json.loads(value))
        except ValueError as error:  # a node of another version wrote it
            _log.warning("count of a rate limit can't be read, left out", key=key, error=str(error))
            return None

    def _put(self, key: str, usage: Usage) -> None:
        record: dict[str, Any] = {name: value for name, value in attrs.asdict(usage).items() if value}
        self._shared.put(key, json.dumps(record, separators=(",", ":")).encode())
