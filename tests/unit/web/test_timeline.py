"""Where things lie in the pictures of the home page."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.timeline import Timeline
from acme_manager.services.catalogue_views import Day
from acme_manager.web.timeline import LENGTH, TALLEST, bar, histogram

ISSUED = datetime(2026, 11, 1, tzinfo=UTC)


def life(length: timedelta, now: float, *, planned: bool = True) -> Timeline:
    """Its window is from 0.6 to 0.8 of it, and the planned instant at 0.7."""
    return Timeline(
        issued=ISSUED,
        expiry=ISSUED + length,
        now=ISSUED + length * now,
        window=(ISSUED + length * 0.6, ISSUED + length * 0.8) if planned else None,
        planned=ISSUED + length * 0.7 if planned else None,
    )


@pytest.mark.parametrize("days", [6, 398])
@pytest.mark.parametrize(("now", "state"), [(0.5, "early"), (0.65, "open"), (0.9, "late"), (1.1, "over")])
def test_the_state_follows_the_window_whatever_the_length_of_a_life(days: int, now: float, state: str) -> None:
    drawn = bar("www.example", life(timedelta(days=days), now))
    assert drawn.state == state
    assert (drawn.window, drawn.planned, drawn.now) == ((600, 800), 700, round(LENGTH * min(now, 1)))


def test_a_line_says_in_words_what_it_shows() -> None:
    assert bar("www.example", life(timedelta(days=10), 0.65)).words == (
        "www.example is valid from 1 Nov 2026 00:00 UTC to 11 Nov 2026 00:00 UTC. Its renewal window is from 7 Nov 2026"
        " 00:00 UTC to 9 Nov 2026 00:00 UTC. Renewal is planned for 8 Nov 2026 00:00 UTC. 65% of its life is over; the"
        " window is open."
    )
    unplanned = bar("www.example", life(timedelta(days=10), 0.5, planned=False))
    assert (unplanned.window, unplanned.planned, unplanned.state) == (None, None, "unplanned")
    assert unplanned.words.endswith("50% of its life is over; no renewal is planned.")


def days(*renewals: int) -> list[Day]:
    return [Day(date(2026, 11, 24) + timedelta(days=number), count, 0) for number, count in enumerate(renewals)]


def test_the_busiest_day_reaches_the_top_and_one_renewal_can_be_seen() -> None:
    drawn = histogram(days(1, 0, 1000))
    assert [(one.y, one.height) for one in drawn.columns] == [(96, 4), (100, 0), (0, 100)]
    assert drawn.busiest is not None
    assert drawn.words == "Planned renewals of the next 3 days: 1,001 in all, 1 today, at most 1,000 on 26 Nov."


def test_days_without_renewals_are_a_picture_too() -> None:
    drawn = histogram(days(0, 0))
    assert (drawn.total, drawn.busiest, {one.height for one in drawn.columns}) == (0, None, {0})
    assert drawn.words == "Planned renewals of the next 2 days: 0 in all."


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60))
def test_columns_stay_inside_and_do_not_overlap(renewals: list[int]) -> None:
    drawn = histogram(days(*renewals))
    ends = [0, *(one.x + one.width for one in drawn.columns)]
    for left, one in zip(ends, drawn.columns, strict=False):
        assert left <= one.x
        assert one.y >= 0
        assert one.y + one.height == TALLEST
    assert ends[-1] <= drawn.width
