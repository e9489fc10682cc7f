from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from acme_manager.domain.gotime import format_time, milliseconds, parse_time

AT = datetime(2025, 2, 9, 11, 9, 1, tzinfo=UTC)


def test_a_time_is_written_as_go_prints_it() -> None:
    assert format_time(AT) == "2025-02-09 11:09:01 +0000 UTC"
    assert format_time(AT.astimezone(timezone(timedelta(hours=5, minutes=30)))) == "2025-02-09 11:09:01 +0000 UTC"


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-09 11:09:01 +0000 UTC",
        "2025-02-09 11:09:01.123456789 +0000 UTC",
        "2025-02-09 12:09:01 +0100 CET",
        "2025-02-09 05:39:01 -0530 XST",
        "2025-02-09 11:09:01 +0000 UTC m=+0.000012345",  # a monotonic reading that Go once left in a record
    ],
)
def test_every_text_the_go_program_has_written_is_read(text: str) -> None:
    assert parse_time(text) == AT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-02-09",
        "2025-02-30 11:09:01 +0000 UTC",
        "yesterday",
        "0001-01-01 00:00:00 +0100 CET",
        "9999-12-31 23:59:59 -0100 UTC",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|day"):
        parse_time(text)


def test_milliseconds_are_unix_time() -> None:
    assert milliseconds(AT) == 1739099341000
