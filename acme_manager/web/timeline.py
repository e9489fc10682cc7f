"""Where things lie in the pictures of the home page, and the same in words for those who don't see them. Pure.

A certificate's life is a thousand units long, however many days that is: so one of six days and one of 398 have the
same room, and their windows can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from acme_manager.domain.timeline import Timeline
from acme_manager.services.catalogue_views import Day

LENGTH = 1000  # of a life
TALLEST = 100  # of a day's column
_WIDTH, _GAP = 10, 2  # of a day's column, with the space beside it

_STATES = {
    "early": "the window has not opened yet",
    "open": "the window is open",
    "late": "the window is over",
    "over": "it has expired",
    "unplanned": "no renewal is planned",
}


@attrs.frozen(kw_only=True)
class Bar:
    """One certificate's line. Places are from 0, issued, to LENGTH, expired; `state` is one of early, open, late, over
    and unplanned, by the window and never by days."""

    state: str
    now: int
    window: tuple[int, int] | None
    planned: int | None
    words: str


def bar(title: str, life: Timeline) -> Bar:
    """The line of a certificate with that title."""
    state = _state(life)
    return Bar(
        state=state,
        now=_place(life, life.now),
        window=None if life.window is None else (_place(life, life.window[0]), _place(life, life.window[1])),
        planned=None if life.planned is None else _place(life, life.planned),
        words=_words(title, life, state),
    )


def _place(life: Timeline, at: datetime) -> int:
    return round(LENGTH * life.place(at))


def _state(life: Timeline) -> str:
    if life.now >= life.expiry:
        return "over"
    if life.window is None:
        return "unplanned"
    start, end = life.window
    return "late" if life.now >= end else "open" if life.now >= start else "early"


def _words(title: str, life: Timeline, state: str) -> str:
    window = (
        "" if life.window is None else f" Its renewal window is from {_on(life.window[0])} to {_on(life.window[1])}."
    )
    planned = "" if life.planned is None else f" Renewal is planned for {_on(life.planned)}."
    past = f"{life.place(life.now):.0%} of its life is over"
    return f"{title} is valid from {_on(life.issued)} to {_on(life.expiry)}.{window}{planned} {past}; {_STATES[state]}."


def _on(at: datetime) -> str:
    return f"{at:%-d %b %Y %H:%M} UTC"


@attrs.frozen(kw_only=True)
class Column:
    """A day of the histogram: its left and upper edge, its size, and what it says."""

    x: int
    y: int
    width: int
    height: int
    words: str


@attrs.frozen(kw_only=True)
class Histogram:
    """Planned renewals by day. `busiest` is None where nothing is planned."""

    columns: Sequence[Column]
    width: int
    total: int
    busiest: Day | None
    words: str


def histogram(days: Sequence[Day]) -> Histogram:
    """A column for each day. One with anything in it is never too low to be seen."""
    most = max((day.renewals for day in days), default=0)
    busiest = next((day for day in days if day.renewals == most), None) if most else None
    total = sum(day.renewals for day in days)
    columns = []
    for number, day in enumerate(days):
        height = max(4, round(TALLEST * day.renewals / most)) if day.renewals else 0
        x, width = number * _WIDTH, _WIDTH - _GAP
        words = f"{day.date:%a %-d %b}: {day.renewals:,}"
        columns.append(Column(x=x, y=TALLEST - height, width=width, height=height, words=words))
    words = f"Planned renewals of the next {len(days)} days: {total:,} in all"
    if busiest is not None:
        words += f", {days[0].renewals:,} today, at most {most:,} on {busiest.date:%-d %b}"
    return Histogram(
        columns=columns, width=max(_WIDTH, len(days) * _WIDTH - _GAP), total=total, busiest=busiest, words=f"{words}."
    )
