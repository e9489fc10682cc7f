"""The newest attempt at a certificate, as far as its condition depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

STALE = timedelta(hours=1)
"""After which an attempt does not go on any more, whatever its record says: its node has died."""


@attrs.frozen(kw_only=True)
class Attempt:
    """`outcome` is as services/attempts.py writes it; `steps` are names with their instants, the first one first."""

    outcome: str
    began: datetime
    ended: datetime | None = None
    reason: str = ""
    issuer: str = ""
    error: str = ""
    cause: str = ""  # of a failure (domain/causes.py)
    problem: str = ""  # the CA's own words
    steps: tuple[tuple[str, datetime], ...] = ()

    @property
    def running(self) -> bool:
        """Whether it goes on, or its node died before it came to an end."""
        return self.outcome == "running"

    def goes_on(self, now: datetime) -> bool:
        """Whether it is being made: what has run for too long was cut off."""
        return self.running and now < self.began + STALE

    @property
    def failed_at(self) -> datetime | None:
        """When it has come to nothing, or will have if it goes on until then; None where it ended well."""
        if self.running:
            return self.began + STALE
        return (self.ended or self.began) if self.outcome in {"failed", "interrupted"} else None


def attempt_from_json(record: Mapping[str, Any]) -> Attempt:
    """Read an attempt from the shared map. Raises ValueError."""
    try:
        return Attempt(
            outcome=str(record["outcome"]),
            began=_instant(record["began"]),
            ended=_instant(record["ended"]) if record.get("ended") else None,
            **{name: str(record.get(name, "")) for name in ("reason", "issuer", "error", "cause", "problem")},
            steps=tuple((str(step["step"]), _instant(step["at"])) for step in record.get("steps", ())),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"no attempt: {error!r}") from error


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
