"""Tests of acme_manager/web/words.py."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from acme_manager.web.words import lasting, relative

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def read(markup: str) -> str:
    return re.sub("<[^>]*>", "", markup)


@pytest.mark.parametrize(
    ("away", "instant", "how_long"),
    [
        (timedelta(minutes=-5), "5 minutes ago", "for 5 minutes"),
        (timedelta(days=3), "in 3 days", "for another 3 days"),
        (timedelta(0), "now", "for 0 seconds"),
    ],
)
def test_an_instant_is_told_from_now_with_the_exact_one_on_hover(away: timedelta, instant: str, how_long: str) -> None:
    for told, words in ((relative(NOW + away, NOW), instant), (lasting(NOW + away, NOW), how_long)):
        assert read(told) == words
        assert f'title="{NOW + away:%Y-%m-%d %H:%M:%S} UTC"' in told


def test_an_instant_that_is_none_is_a_dash() -> None:
    assert relative(None, NOW) == lasting("", NOW) == "-"
