from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from acme_manager.cli.goflags import UsageError, parse
from acme_manager.cli.values import format_value
from acme_manager.config.flag import Flag, FlagValue, Kind, flags_of
from acme_manager.config.model import Flags

FLAGS = flags_of(Flags)
_numbers = {
    Kind.INT: st.integers(-(2**63), 2**63 - 1),
    Kind.DURATION: st.integers(0, 2**50).map(lambda nanoseconds: nanoseconds / 10**9),
}


def _values(flag: Flag) -> st.SearchStrategy[FlagValue]:
    match flag.kind:
        case Kind.STRING:
            return st.text()
        case Kind.STRINGS:
            return st.text().map(lambda text: (text,))
        case Kind.BOOL:
            return st.booleans()
        case number:
            low = -(2**63) if flag.low is None else flag.low
            high = 2**63 if flag.high is None else flag.high
            return _numbers[number].filter(lambda value: low <= value <= high)


_given = st.sampled_from(FLAGS).flatmap(lambda flag: st.tuples(st.just(flag), _values(flag)))


@given(st.lists(_given, unique_by=lambda pair: pair[0].name, max_size=8), st.randoms(use_true_random=False))
def test_what_is_written_in_any_of_the_forms_is_read_back(pairs: list[tuple[Flag, FlagValue]], random: Random) -> None:
    words: list[str] = []
    for flag, value in pairs:
        dashes = random.choice(("-", "--"))
        text = format_value(flag.kind, value)
        if flag.kind is not Kind.BOOL and random.choice((True, False)):
            words += [f"{dashes}{flag.name}", text]
        else:
            words.append(f"{dashes}{flag.name}={text}")
    assert parse(FLAGS, words) == {flag.name: value for flag, value in pairs}


_word = st.sampled_from(["-", "--", "-cleanup", "true", "-log.level", "=", "-x", "-h", ""]) | st.text(max_size=12)


@given(st.lists(_word, max_size=6))
def test_any_words_are_a_command_line_or_a_usage_error(words: list[str]) -> None:
    try:
        given_values = parse(FLAGS, words)
    except UsageError:
        return
    assert set(given_values) <= {flag.name for flag in FLAGS}
