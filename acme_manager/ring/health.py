"""Lifeguard's local health: how much this node trusts its own view (https://arxiv.org/abs/1707.00788, section IV.A)."""

from __future__ import annotations


class Health:
    """A score from 0 (all is well) to `limit` - 1; it slows our probes down, so that a sick node accuses less."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.score = 0

    def change(self, by: int) -> None:
        """Worse by that much; better if negative."""
        self.score = min(max(self.score + by, 0), self._limit - 1)

    def scaled(self, seconds: float) -> float:
        """That many seconds, stretched by the score."""
        return seconds * (self.score + 1)
