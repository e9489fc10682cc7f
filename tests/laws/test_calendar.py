"""What holds of every calendar, in every time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.calendar import Calendar, parse_calendar
from tests.laws.strategies import calendars, instants


@given(calendars, instants, st.integers(0, 40 * 24))
def test_an_opening_is_welcome_from_its_start_to_its_end_and_nothing_before_it_is(
    calendar: Calendar, at: datetime, hours: int
) -> None:
    until = at + timedelta(hours=hours)
    opening = calendar.next_allowed(at, until)
    start, end = (opening.start, opening.end) if opening else (until, until)
    assert at <= start <= end <= until
    for one in [at + step * (until - at) / 200 for step in range(200)] if hours else []:
        assert one >= end or (calendar.against(one) is None) == (start <= one)


@given(calendars, instants, st.integers(0, 40 * 24))
def test_the_last_opening_is_the_last(calendar: Calendar, at: datetime, hours: int) -> None:
    since = at - timedelta(hours=hours)
    opening = calendar.last_allowed(at, since)
    start, end = (opening.start, opening.end) if opening else (since, since)
    assert since <= start <= end <= at
    for one in [since + step * (at - since) / 200 for step in range(200)] if hours else []:
        assert one < start or (calendar.against(one) is None) == (start <= one < end)


def test_clocks_that_change_take_no_welcome_time_away() -> None:
    calendar = parse_calendar(["02:30-04:00"], [], "Europe/Berlin")  # on this day 02:30 does not exist
    opening = calendar.next_allowed(datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC))
    assert opening is not None
    assert (opening.start.hour, opening.end.hour) == (1, 2)
    frozen = parse_calendar([], ["02:15-02:45"], "Europe/Berlin")  # on this day it comes twice
    first = frozen.next_allowed(datetime(2026, 10, 25, 0, 15, tzinfo=UTC), datetime(2026, 10, 25, 6, tzinfo=UTC))
    assert first is not None
    assert (first.start.minute, first.end) == (45, datetime(2026, 10, 25, 1, 15, tzinfo=UTC))
    after = parse_calendar(["00:00-00:01"], [], "America/New_York")  # on the day after such a day
    short = after.next_allowed(datetime(2029, 3, 12, 3, tzinfo=UTC), datetime(2029, 3, 13, tzinfo=UTC))
    assert short is not None
    assert (short.start.hour, short.end - short.start) == (4, timedelta(minutes=1))
