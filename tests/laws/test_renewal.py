"""What holds of every renewal instant, whatever the lifetime and the window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.renewal import RenewalWindow, draw, parse_window
from acme_manager.errors import InvalidRequest

instants = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 hypothesis wants naive bounds
lifetimes = st.timedeltas(timedelta(hours=1), timedelta(days=400))
windows = st.tuples(st.integers(0, 120), st.integers(0, 120)).map(lambda pair: RenewalWindow(min(pair), max(pair)))


@given(instants, lifetimes, windows, st.text(max_size=20))
def test_it_lies_within_the_lifetime_and_is_the_same_at_every_scan(
    start: datetime, lifetime: timedelta, window: RenewalWindow, key: str
) -> None:
    at = draw(start, start + lifetime, window, key).at
    assert start < at <= start + lifetime
    assert at == draw(start, start + lifetime, window, key).at


@given(instants, st.integers(60, 398), st.text(max_size=20))
def test_it_lies_in_a_window_that_fits_and_on_a_weekday(start: datetime, days: int, key: str) -> None:
    end = start + timedelta(days=days)
    at = draw(start, end, RenewalWindow(20, 30), key).at
    assert end - timedelta(days=30) <= at <= end - timedelta(days=20)
    assert at.weekday() < 5


@given(instants, st.integers(1, 29), st.text(max_size=20))
def test_a_window_longer_than_the_life_becomes_a_share_of_it(start: datetime, days: int, key: str) -> None:
    lifetime = timedelta(days=days)
    at = draw(start, start + lifetime, RenewalWindow(20, 30), key).at
    assert at >= start + lifetime * (0.5 if days < 10 else 2 / 3)
    assert at < start + lifetime


def test_a_fleet_spreads_over_the_window() -> None:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    end = start + timedelta(days=90)
    per_day = [0] * 11
    for number in range(2000):
        per_day[(draw(start, end, RenewalWindow(20, 30), f"host{number}").at - end).days + 30] += 1
    busiest = max(per_day)
    assert busiest < 2000 * 0.3  # a weekend's share may fall on the days around it, no more


@pytest.mark.parametrize(("text", "window"), [("30", RenewalWindow(30, 30)), ("20-30", RenewalWindow(20, 30))])
def test_a_window_is_one_number_or_two(text: str, window: RenewalWindow) -> None:
    assert parse_window(text) == window


@pytest.mark.parametrize("text", ["", "-", "a", "30-20", "1-2-3", "10-", "-5", "36501", "1-99999999999999"])
def test_any_other_window_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="cert_days_renewal"):
        parse_window(text)
