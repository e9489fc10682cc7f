from __future__ import annotations

import pytest

from acme_manager.domain.durations import format_go_duration, parse_go_duration, parse_prometheus_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("300ms", 0.3),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1\u03bcs", 1e-6),
        ("7ns", 7e-9),
        ("-1m30s", -90),
        ("+5s", 5),
        (".5s", 0.5),
        ("1.s", 1),
        ("0", 0),
        ("-0", 0),
        ("0s", 0),
        ("1s1s", 2),
        ("2540400h10m10.000000000s", 9145440610.0),
    ],
)
def test_go_durations_are_read_into_seconds(text: str, seconds: float) -> None:
    assert parse_go_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "like 30s"),
        ("-", "like 30s"),
        (".s", "like 30s"),
        ("s", "like 30s"),
        ("1 s", "unknown unit"),
        ("30", "30s for seconds"),
        ("1h30", "lacks a unit"),
        ("--1s", "like 30s"),
        ("0-", "like 30s"),
        ("1d", "1d is 24h"),
        ("2w", "1w is 168h"),
        ("\u0661s", "like 30s"),
        ("3000000h", "292 years"),
    ],
)
def test_a_bad_go_duration_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        parse_go_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1800, "30m"),
        (3600, "1h"),
        (60, "1m"),
        (5, "5s"),
        (5400, "1h30m"),
        (3605, "1h5s"),
        (1.5, "1.5s"),
        (0.2, "200ms"),
        (0.0005, "500us"),
        (3e-9, "3ns"),
        (0, "0s"),
        (-90, "-1m30s"),
    ],
)
def test_defaults_are_shown_as_the_guide_writes_them(seconds: float, text: str) -> None:
    assert format_go_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30d", 30 * 86400),
        ("1y", 365 * 86400),
        ("2w", 14 * 86400),
        ("1h30m", 5400),
        ("5m6s", 306),
        ("250ms", 0.25),
        ("1m5ms", 60.005),
        ("0", 0),
        ("0s", 0),
        ("1y2w3d4h5m6s7ms", ((365 + 14 + 3) * 86400 + 4 * 3600 + 5 * 60 + 6) + 0.007),
    ],
)
def test_prometheus_durations_are_read_into_seconds(text: str, seconds: float) -> None:
    assert parse_prometheus_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("text", ["", "1", "d", "1.5d", "-1d", "1h1d", "1d1d", "1d ", "\u0661d", "30 d", "1ns"])
def test_a_bad_prometheus_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="like 30d or 1d12h"):
        parse_prometheus_duration(text)


def test_a_prometheus_duration_beyond_64_bits_of_nanoseconds_is_refused() -> None:
    with pytest.raises(ValueError, match="292 years"):
        parse_prometheus_duration("300y")
