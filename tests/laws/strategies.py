"""Values that several laws are about."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from acme_manager.domain.calendar import parse_calendar

instants = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 hypothesis wants naive bounds

_DAYS = (
    "",
    "tue",
    "mon-fri",
    "sat,sun",
    "fri-mon",
    "dec",
    "nov-jan",
    "12-20..01-06",
    "02-29",
    "2026-01-01..2027-06-30",
)
_HOURS = ("", "06:00-10:00", "22:00-04:00", "12:00-24:00", "00:00-00:01", "02:15-02:45", "23:59-23:58")
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")

spans = st.tuples(st.sampled_from(_DAYS), st.sampled_from(_HOURS)).map(" ".join).map(str.strip).filter(bool)
calendars = st.builds(parse_calendar, st.lists(spans, max_size=2), st.lists(spans, max_size=2), st.sampled_from(_ZONES))
