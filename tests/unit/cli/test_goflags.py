from __future__ import annotations

import re
from collections.abc import Mapping

import attrs
import pytest

from acme_manager.cli.goflags import UsageError, parse, read_or_exit, usage
from acme_manager.config.flag import Flag, FlagValue, Kind, flag, flag_group, flags_of

GROUP = (
    Flag(name="g.seed", kind=Kind.STRINGS, default=(), help="Seeds."),
    Flag(name="g.wait", kind=Kind.DURATION, default=0.2, help="Wait."),
)


@attrs.frozen(kw_only=True)
class Example:
    name: str = flag("name", Kind.STRING, "", "A name.")
    count: int = flag("count", Kind.INT, 3, "A count.", low=1, high=20)
    every: float = flag("every", Kind.DURATION, 1800.0, "A period.", low=0.001)
    on: bool = flag("on", Kind.BOOL, False, "A switch.")
    kept: bool = flag("kept", Kind.BOOL, True, "Another switch.", common=False)
    group: Mapping[str, FlagValue] = flag_group("g.", GROUP)


FLAGS = flags_of(Example)


def read(*arguments: str) -> Example:
    return read_or_exit(Example, "example", arguments)


@pytest.mark.parametrize(
    "arguments",
    [["-name", "x"], ["--name", "x"], ["-name=x"], ["--name=x"], ["-name=y", "-name=x"], ["-name", "x", "--"]],
)
def test_a_value_follows_after_an_equals_sign_or_as_the_next_word(arguments: list[str]) -> None:
    assert parse(FLAGS, arguments) == {"name": "x"}


@pytest.mark.parametrize("value", ["-x", "--", "-", "a=b", "=", ""])
def test_the_next_word_is_the_value_whatever_it_looks_like(value: str) -> None:
    assert parse(FLAGS, ["-name", value, "-on"]) == {"name": value, "on": True}


@pytest.mark.parametrize("word", ["1", "t", "T", "true", "TRUE", "True"])
def test_a_boolean_may_be_set_after_an_equals_sign(word: str) -> None:
    assert parse(FLAGS, [f"-on={word}"]) == {"on": True}


@pytest.mark.parametrize("word", ["0", "f", "F", "false", "FALSE", "False"])
def test_a_boolean_may_be_unset_after_an_equals_sign(word: str) -> None:
    assert parse(FLAGS, [f"-kept={word}"]) == {"kept": False}


@pytest.mark.parametrize(
    ("text", "value"), [("10", 10), ("0x0a", 10), ("0o12", 10), ("012", 10), ("0b1_0", 2), ("1_0", 10), ("+5", 5)]
)
def test_integers_have_their_base_from_their_prefix(text: str, value: int) -> None:
    assert parse(FLAGS, ["-count", text]) == {"count": value}


def test_a_repeatable_flag_collects_its_values() -> None:
    assert read("-g.seed", "a", "-on", "-g.seed=b").group == {"seed": ("a", "b"), "wait": 0.2}


def test_what_is_not_given_has_its_default() -> None:
    assert read() == Example()
    assert Example().group == {"seed": (), "wait": 0.2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-nmae=x"], "flag provided but not defined: -nmae, did you mean -name?"),
        (["-zzz"], "flag provided but not defined: -zzz; -help-all lists all flags"),
        (["-name"], "flag needs an argument: -name, write -name=string"),
        (["---name"], "bad flag syntax: ---name"),
        (["-=x"], "bad flag syntax: -=x"),
        (["-on=yes"], 'invalid boolean value "yes" for flag -on: must be true or false'),
        (["-count=ten"], 'invalid value "ten" for flag -count: must be a whole number'),
        (["-count="], 'invalid value "" for flag -count: must be a whole number'),
        (["-count= 1"], 'invalid value " 1" for flag -count: must be a whole number'),
        (["-count=\u0661"], 'invalid value "\u0661" for flag -count: must be a whole number'),
        (["-count=9223372036854775808"], 'invalid value "9223372036854775808" for flag -count: is out of range'),
        (["-count=0"], 'invalid value "0" for flag -count: must be between 1 and 20'),
        (["-every=5"], "invalid value \"5\" for flag -every: '5' lacks a unit: write 5s for seconds or 5m for minutes"),
        (["-every=0"], 'invalid value "0" for flag -every: must be at least 1ms'),
        (["-on", "true", "-name=x"], "unexpected argument 'true': write -on=true"),
        (["-name", "x", "y"], "unexpected argument 'y': every option begins with '-', and none takes a second word"),
        (["-", "-on"], "unexpected argument '-': every option begins with '-', and none takes a second word"),
        (["--", "x"], "unexpected argument 'x': every option begins with '-', and none takes a second word"),
    ],
)
def test_a_wrong_command_line_is_refused_with_what_to_write(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        parse(FLAGS, arguments)


def test_a_wrong_command_line_ends_with_status_2_the_error_on_stderr_and_the_help_on_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        read("-on", "true")
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.err == "unexpected argument 'true': write -on=true\n"
    assert said.out.startswith("Usage of example:\n")


@pytest.mark.parametrize("word", ["-h", "--h", "-help", "--help"])
def test_help_shows_the_common_flags(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read("-count=bad", word)
    said = capsys.readouterr()
    assert ended.value.code == 0
    assert said.out == (
        "Usage of example:\n"
        '  -count int\n\tA count. (default "3")\n'
        '  -every duration\n\tA period. (default "30m")\n'
        "  -name string\n\tA name.\n"
        "  -on\n\tA switch.\n"
        "\nThese are the common flags; -help-all shows every one.\n"
    )


@pytest.mark.parametrize("word", ["-help-all", "--help-all"])
def test_help_all_shows_every_flag(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read(word, "-help")
    said = capsys.readouterr()
    assert ended.value.code == 0
    assert said.out == usage("example", FLAGS, everything=True)
    assert '  -kept\n\tAnother switch. (default "true")\n' in said.out
    assert '  -g.wait duration\n\tWait. (default "200ms")\n' in said.out
    assert "  -g.seed string\n\tSeeds.\n" in said.out
