from __future__ import annotations

from pathlib import Path

import pytest

from acme_manager.config import dotenv


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("A: b", "b"),
        ("export A=b", "b"),
        ("  A = b  ", "b"),
        ("A=", ""),
        ("A=\n", ""),
        ("A=b # a comment", "b"),
        ("A=b#c", "b#c"),
        ("A=#b", "#b"),
        ("A= # nothing", ""),
        ("A=b c", "b c"),
        ("A=b=c", "b=c"),
        ("A='b # c'", "b # c"),
        ("A='$B'", "$B"),
        (r"A='b\n'", r"b\n"),
        (r'A="b\nc\r"', "b\nc\r"),
        (r'A="say \"b\""', 'say "b"'),
        (r'A="back\\slash"', r"back\slash"),
        (r'A="\$B"', "$B"),
        ('A="b\nc"', "b\nc"),
        ("A='b\nc'", "b\nc"),
        ('A="b" # a comment', "b"),
        ('A=""', ""),
        ("# first\n\n  # second\nA=b", "b"),
        ("A=b\r\n# next\r\n", "b"),
        ("A=b\nA=c", "c"),
        ("\n\nA=b", "b"),
        ("A=$ 5", "$ 5"),
        ("B.c-d=1\nA=b", "b"),
    ],
)
def test_a_value_is_read_as_written(text: str, value: str) -> None:
    assert dotenv.parse(text)["A"] == value


@pytest.mark.parametrize("form", ["$HOST:53", "${HOST}:53", '"$HOST:53"', '"${HOST}:53"'])
def test_a_variable_stands_for_what_the_file_has_set_further_up(form: str) -> None:
    assert dotenv.parse(f"HOST=ns1\nA={form}")["A"] == "ns1:53"


def test_a_variable_set_further_down_or_only_in_the_process_stands_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTSIDE", "x")
    assert dotenv.parse("A=$LATER$OUTSIDE.\nLATER=1")["A"] == "."


def test_several_keys_keep_apart() -> None:
    assert dotenv.parse("A=1\nB='2'\nC=\"3\"\nexport D: 4\n") == {"A": "1", "B": "2", "C": "3", "D": "4"}


@pytest.mark.parametrize(
    ("text", "line", "remedy"),
    [
        ("A=1\nwhat is this\n", 2, "expected KEY=VALUE"),
        ("A=1\nB", 2, "expected KEY=VALUE"),
        ("=1", 1, "expected KEY=VALUE"),
        ("A$=1", 1, "expected KEY=VALUE"),
        ('\n\nA="hidden\nB=1', 3, 'closing "'),
        ("A='hidden", 1, "closing '"),
        ("A='x' hidden", 1, "expected KEY=VALUE"),
    ],
)
def test_a_bad_line_is_named_with_its_remedy_but_not_with_its_value(text: str, line: int, remedy: str) -> None:
    with pytest.raises(dotenv.DotenvInvalid, match=remedy) as caught:
        dotenv.parse(text)
    assert caught.value.line == line
    assert f"line {line}" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"\xef\xbb\xbfA=b\n")
    assert dotenv.read(file) == {"A": "b"}


def test_a_file_in_another_encoding_is_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"A=b\nC=\xe9\n")
    with pytest.raises(dotenv.DotenvInvalid, match="line 2: is not UTF-8"):
        dotenv.read(file)


def test_the_process_wins_over_the_file() -> None:
    assert dotenv.overlay({"A": "process"}, {"A": "file", "B": "file"}) == {"A": "process", "B": "file"}
