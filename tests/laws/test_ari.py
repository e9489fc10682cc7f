"""Whatever a CA says about renewal, it is a window that can be used or an error; and what we call a certificate."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from acme_manager.issuance.ari import LONGEST_PAUSE, SHORTEST_PAUSE, der_integer, read_renewal_info
from acme_manager.issuance.wire import Unreadable

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
times = st.datetimes(timezones=st.timezones() | st.none()).map(datetime.isoformat)
windows = st.dictionaries(st.sampled_from(["start", "end"]), times | scalars)
documents = st.fixed_dictionaries({}, optional={"suggestedWindow": windows | scalars, "explanationURL": scalars})


@given(documents, st.none() | st.floats(min_value=0, allow_nan=False))
def test_any_answer_is_a_window_or_unreadable(document: dict[str, object], retry_after: float | None) -> None:
    with contextlib.suppress(Unreadable):
        info = read_renewal_info(document, retry_after)
        assert info.start < info.end
        assert info.start.tzinfo is info.end.tzinfo is UTC
        assert SHORTEST_PAUSE <= info.ask_again <= LONGEST_PAUSE


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9990, 1, 1)),  # noqa: DTZ001 an offset comes below
    st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=999)),
    st.integers(-23 * 60, 23 * 60),
)
def test_every_window_in_any_zone_is_read_as_it_is_meant(start: datetime, length: timedelta, minutes: int) -> None:
    begin = start.replace(tzinfo=UTC)
    local = begin + timedelta(minutes=minutes)
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    window = {"start": local.isoformat().removesuffix("+00:00") + offset, "end": (begin + length).isoformat()}
    info = read_renewal_info({"suggestedWindow": window}, None)
    assert (info.start, info.end) == (begin, begin + length)


@given(st.integers(-(2**200), 2**200))
def test_a_serial_is_written_as_der_does_it(serial: int) -> None:
    content = der_integer(serial)
    assert int.from_bytes(content, "big", signed=True) == serial
    shorter = content[1:]
    assert not shorter or int.from_bytes(shorter, "big", signed=True) != serial
