"""Instants as the Go original writes them: `2025-02-09 11:09:01 +0000 UTC` (Go's default text of a time)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_SHAPE = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? ([+-])(\d\d)(\d\d)(?: \S+)?(?: m=\S+)?")


def format_time(at: datetime) -> str:
    """Write an aware instant in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")


def parse_time(text: str) -> datetime:
    """Read Go's text of a time; the offset decides, the zone's name is decoration. Raises ValueError."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no time like '2025-02-09 11:09:01 +0000 UTC'")
    day, clock, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=timezone(offset)).astimezone(UTC)


def milliseconds(at: datetime) -> int:
    """Unix time in milliseconds, as in `updated_at`."""
    return int(at.timestamp() * 1000)
