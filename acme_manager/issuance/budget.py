"""How many requests a second a CA gets from us (`overall_request_limit`), as a value."""

from __future__ import annotations

import attrs


@attrs.frozen
class Budget:
    """A token bucket: `rate` requests a second, up to a second's worth of them at once. Times are monotonic seconds.

    `left` may be negative: those requests are promised already, and each waits for its turn.
    """

    rate: float
    left: float
    at: float

    @classmethod
    def full(cls, rate: float, now: float) -> Budget:
        """A bucket that nobody has drawn on yet."""
        return cls(rate, rate, now)

    def spend(self, now: float) -> tuple[Budget, float]:
        """Take one request; the second value is how many seconds to wait before making it."""
        left = min(self.rate, self.left + max(0.0, now - self.at) * self.rate) - 1
        return Budget(self.rate, left, max(now, self.at)), max(0.0, -left / self.rate)
