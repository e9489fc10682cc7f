"""When to send a request to a CA again, and how long to wait before (`common.http_client_retry_*`)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import attrs
import trio

from acme_manager.config.model import Common
from acme_manager.errors import AcmeManagerError
from acme_manager.issuance.transport import Answer, Unreachable

LONGEST_WAIT = 120.0  # seconds; an order that waits longer keeps others from their turn


@attrs.frozen(kw_only=True)
class RetryRules:
    """`most` retries, `wait_min` seconds before the first and twice as long before each next one, up to `wait_max`."""

    most: int
    wait_min: float
    wait_max: float
    statuses: frozenset[int] = frozenset()  # on top of 429 and 5xx but 501

    @classmethod
    def of(cls, common: Common) -> RetryRules:
        """As configured."""
        return cls(
            most=common.http_client_retry_max,
            wait_min=common.http_client_retry_wait_min,
            wait_max=common.http_client_retry_wait_max,
            statuses=frozenset(common.http_client_retry_status_code),
        )

    def apply_to(self, status: int) -> bool:
        """Whether an answer with this status may be better next time."""
        return status == 429 or (status >= 500 and status != 501) or status in self.statuses

    def pause(self, retry: int) -> float:
        """Seconds before a retry; the first is number 0."""
        return min(self.wait_min * 2.0 ** min(retry, 30), self.wait_max)


async def patiently(
    rules: RetryRules, attempt: Callable[[], Awaitable[Answer]], failure: Callable[[Answer], AcmeManagerError]
) -> Answer:
    """Attempt until the answer is none to retry, and return it.

    A wait that the caller's deadline has no room for is not begun: the failure is raised at once, with the CA's
    Retry-After in it. Raises what `failure` makes of the last answer, or Unreachable.
    """
    retry, stale = 0, 0
    while True:
        error: AcmeManagerError
        try:
            answer = await attempt()
        except Unreachable as unreachable:
            if unreachable.hopeless:
                raise
            error, asked = unreachable, None
            if unreachable.stale and not stale:
                stale = 1
                continue
        else:
            if not rules.apply_to(answer.status):
                return answer
            error, asked = failure(answer), answer.retry_after
        if retry >= rules.most:
            raise error
        wait = rules.pause(retry) if asked is None else asked
        if not fits(wait):
            raise error
        await trio.sleep(wait)
        retry += 1


def fits(wait: float) -> bool:
    """Whether the caller's deadline, and our own patience, have room for a wait of that many seconds."""
    deadline = trio.current_effective_deadline()
    cancelled = deadline == -math.inf  # the wait will end at once, and rightly so
    return cancelled or (wait <= LONGEST_WAIT and trio.current_time() + wait < deadline)
