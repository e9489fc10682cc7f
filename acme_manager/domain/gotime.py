"""Instants as texts: as the Go original writes them, `2025-02-09 11:09:01 +0000 UTC` (Go's default text of a time),
and by RFC 3339 where it has nothing of the kind."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_SHAPE = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? ([+-])(\d\d)(\d\d)(?: \S+)?(?: m=\S+)?")


def format_time(at: datetime) -> str:
    """Write an aware instant in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")


def rfc3339(at: datetime) -> str:
    """Write an aware instant like `2025-02-09T11:09:01Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Read Go's text of a time; the offset decides, the zone's name is decoration. Raises ValueError."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no time like '2025-02-09 11:09:01 +0000 UTC'")
    day, clock, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    try:
        return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=timezone(offset)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"'{text}' is no time in UTC, being before the year 1 or after the year 9999") from error


def milliseconds(at: datetime) -> int:
    """Unix time in milliseconds, as in `updated_at`."""
    return int(at.timestamp() * 1000)
