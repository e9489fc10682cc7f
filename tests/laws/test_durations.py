from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.durations import format_go_duration, parse_go_duration, parse_prometheus_duration

# A float of seconds holds single nanoseconds up to about 2**50 of them: 13 days, more than any setting of ours.
_nanoseconds = st.integers(-(2**50), 2**50)


@given(_nanoseconds)
def test_what_is_written_is_read_back_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 10**9
    assert round(parse_go_duration(format_go_duration(seconds)) * 10**9) == nanoseconds


@given(st.text(max_size=20))
def test_any_text_is_a_number_of_seconds_or_a_value_error(text: str) -> None:
    for parse in (parse_go_duration, parse_prometheus_duration):
        try:
            seconds = parse(text)
        except ValueError:
            continue
        assert isinstance(seconds, float)
        assert abs(seconds) < 2**63


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from("ywdhms")), min_size=1, unique_by=lambda part: part[1]))
def test_prometheus_units_must_come_in_order(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    in_order = [unit for _, unit in parts] == sorted((unit for _, unit in parts), key="ywdhms".index)
    try:
        parse_prometheus_duration(text)
    except ValueError:
        assert not in_order
    else:
        assert in_order
