"""When renewals are welcome: allowed times and freezes, as people write them in the configuration.

A span is days, hours, or both: `[DAYS] [HH:MM-HH:MM]`. DAYS is one of

- weekdays: `tue`, `mon-fri`, `sat,sun`;
- months, each year: `dec`, `nov-jan`;
- dates: `2026-12-24`, `2026-12-20..2027-01-06`, or each year `12-24`, `12-20..01-06`; both ends included.

Hours end before their last minute, `24:00` is the end of a day, and `22:00-04:00` reaches into the next day. Hours are
those of the configured time zone, through summer and winter time.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import chain
from zoneinfo import ZoneInfo

import attrs

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_DATE = re.compile(r"(?:\d{4}-)?\d\d-\d\d", re.ASCII)
_MINUTES = 24 * 60  # of a day
_DAY = timedelta(days=1)
_REMEDY = (
    "write days, hours or both: 'tue 06:00-10:00', 'mon-fri', '22:00-04:00', 'dec', 'nov-jan', '2026-12-24', "
    "'2026-12-20..2027-01-06' or, each year, '12-20..01-06'"
)

Days = Callable[[date], bool]


@attrs.frozen
class Span:
    """A set of times that comes again; `start` and `end` are minutes of the day, an `end` not after `start` is on the
    next day, whose hours belong to the day before."""

    text: str
    days: Days = attrs.field(repr=False, eq=False)
    start: int = 0
    end: int = _MINUTES

    def holds(self, local: datetime) -> bool:
        """Whether a local time lies in it."""
        today, minute = local.date(), local.hour * 60 + local.minute
        if self.start < self.end:
            return self.start <= minute < self.end and self.days(today)
        return (minute >= self.start and self.days(today)) or (minute < self.end and self.days(today - _DAY))


@attrs.frozen
class Opening:
    """A stretch of time in which renewals are welcome, without its end."""

    start: datetime
    end: datetime


@attrs.frozen
class Calendar:
    """Allowed times (none: always), freezes that take some of them away, and the time zone both are in."""

    windows: tuple[Span, ...] = ()
    freezes: tuple[Span, ...] = ()
    zone: tzinfo = UTC

    @property
    def empty(self) -> bool:
        """Whether every time is welcome."""
        return not (self.windows or self.freezes)

    def against(self, at: datetime) -> str | None:
        """Why an instant is not welcome, None where it is."""
        if self.empty:
            return None
        local = at.astimezone(self.zone)
        frozen = next((one for one in self.freezes if one.holds(local)), None)
        if frozen is not None:
            return f"freeze '{frozen.text}'"
        if self.windows and not any(one.holds(local) for one in self.windows):
            return f"the allowed times {', '.join(repr(one.text) for one in self.windows)}"
        return None

    def next_allowed(self, at: datetime, until: datetime) -> Opening | None:
        """The first opening between two instants, cut off at both; None where there is none."""
        return next(self._openings(at, until), None)

    def last_allowed(self, at: datetime, since: datetime) -> Opening | None:
        """The last opening between two instants, cut off at both; None where there is none."""
        return next(iter(deque(self._openings(since, at), maxlen=1)), None)

    def _openings(self, after: datetime, before: datetime) -> Iterator[Opening]:
        start: datetime | None = None
        for edge in chain([after], self._edges(after, before)) if after < before else ():
            closed = self.against(edge) is not None
            if start is None and not closed:
                start = edge
            elif start is not None and closed:
                yield Opening(start, edge)
                start = None
        if start is not None:
            yield Opening(start, before)

    def _edges(self, after: datetime, before: datetime) -> Iterator[datetime]:
        """Every instant between two at which something may open or close, in order."""
        spans = (*self.windows, *self.freezes)
        minutes = {0, *(minute % _MINUTES for span in spans for minute in (span.start, span.end))}
        day, last = (at.astimezone(self.zone).date() for at in (after, before))
        while day <= last:
            midnight = datetime.combine(day, time(), self.zone)
            local = [midnight + timedelta(minutes=minute) for minute in minutes]
            if midnight.utcoffset() != (midnight + _DAY).utcoffset():
                # The clocks change: an hour comes twice, or is skipped together with what begins or ends in it.
                local += [one.replace(fold=1) for one in local]
                local += [midnight.astimezone(UTC) + half * timedelta(minutes=30) for half in range(50)]
            tomorrow = (midnight + _DAY).astimezone(UTC)  # whose edges follow, and must come in order
            edges = {edge for one in local if (edge := one.astimezone(UTC)) < tomorrow}
            yield from (edge for edge in sorted(edges) if after < edge < before)
            day += _DAY


def parse_calendar(windows: Iterable[str], freezes: Iterable[str], zone: str) -> Calendar:
    """Read `common.renewal_windows`, `renewal_freezes` and `renewal_timezone`. Raises ValueError."""
    return Calendar(tuple(map(parse_span, windows)), tuple(map(parse_span, freezes)), parse_zone(zone))


def parse_zone(name: str) -> tzinfo:
    """A time zone by its IANA name. Raises ValueError."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)  # the one that needs no database
    except (ValueError, OSError, LookupError):
        raise ValueError(
            "must be a time zone of the IANA database, like UTC, Europe/Berlin or America/New_York"
        ) from None


def parse_span(text: str) -> Span:
    """Read one span. Raises ValueError with what would be right."""
    words = text.lower().split()
    hours = _HOURS.fullmatch(words[-1]) if words else None
    start, end = _minutes(*hours.groups()) if hours else (0, _MINUTES)
    days = words[:-1] if hours else words
    if not words or len(days) > 1:
        raise ValueError(f"is no set of times: {_REMEDY}")
    return Span(" ".join(words), _parse_days(days[0]) if days else _every_day, start, end)


def _minutes(*digits: str) -> tuple[int, int]:
    hour, minute, end_hour, end_minute = map(int, digits)
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if minute > 59 or end_minute > 59 or start >= _MINUTES or end > _MINUTES or start == end:
        raise ValueError("has hours that do not exist: they go from 00:00 to 24:00, and a span is not empty")
    return start, end or _MINUTES


def _every_day(_day: date) -> bool:
    return True


def _parse_days(text: str) -> Days:
    first, dots, second = text.partition("..")
    if dots or _DATE.fullmatch(first):
        return _dates(first, second if dots else first)
    parts = [_pair(part) for part in text.split(",")]
    for names, of in ((_WEEKDAYS, date.weekday), (_MONTHS, _month)):
        if all(one in names for pair in parts for one in pair):
            ends = ((names.index(first), names.index(last)) for first, last in parts)
            return _Chosen(of, frozenset(one for first, last in ends for one in _around(first, last, len(names))))
    raise ValueError(f"has days that are none: {_REMEDY}")


@attrs.frozen
class _Chosen:
    """Days of which some number, like that of the weekday, is one of these."""

    number: Callable[[date], int]
    chosen: frozenset[int]

    def __call__(self, day: date) -> bool:
        return self.number(day) in self.chosen


def _month(day: date) -> int:
    return day.month - 1


def _pair(part: str) -> tuple[str, str]:
    first, dash, second = part.partition("-")
    return first, second if dash else first


def _around(first: int, last: int, count: int) -> Iterator[int]:
    """The numbers from one to another, round the end where the other is smaller."""
    return ((first + step) % count for step in range((last - first) % count + 1))


def _dates(first: str, last: str) -> Days:
    if not (_DATE.fullmatch(first) and _DATE.fullmatch(last)) or len(first) != len(last):
        raise ValueError(f"has dates that are none: {_REMEDY}")
    yearly = len(first) == len("12-24")
    try:
        # 2024 was a leap year, so that 02-29 is a day of each year.
        ends = [date.fromisoformat(f"2024-{text}" if yearly else text) for text in (first, last)]
    except ValueError:
        raise ValueError(f"has a day that no calendar has: {_REMEDY}") from None
    if yearly:
        low, high = ((day.month, day.day) for day in ends)
        if low <= high:
            return lambda day: low <= (day.month, day.day) <= high
        return lambda day: (day.month, day.day) >= low or (day.month, day.day) <= high
    if ends[0] > ends[1]:
        raise ValueError("ends before it begins: write the earlier date first")
    return lambda day: ends[0] <= day <= ends[1]
