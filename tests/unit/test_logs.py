from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from acme_manager import logs


class Lines:
    """A stream that remembers each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.writes.append(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    @property
    def last(self) -> str:
        return self.writes[-1].decode()


@pytest.fixture
def out() -> Iterator[Any]:
    root = logging.getLogger()
    before = root.handlers, root.level
    yield Lines()
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers = before[0]
    root.setLevel(before[1])


def test_a_logfmt_line_begins_with_time_caller_level_and_message(out: Any) -> None:
    logs.configure("info", "logfmt", out)
    structlog.get_logger("x").info("server ready", url="http://127.0.0.1:8989", count=2)
    assert re.fullmatch(
        r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z caller=x level=info "
        r'msg="server ready" url=http://127\.0\.0\.1:8989 count=2\n',
        out.last,
    )


def test_a_json_line_has_the_same_fields(out: Any) -> None:
    logs.configure("info", "json", out)
    structlog.get_logger().warning("slow", seconds=1.5, names=["a"], cause=ValueError("x"))
    line = json.loads(out.last)
    assert list(line) == ["ts", "caller", "level", "msg", "seconds", "names", "cause"]
    assert (line["level"], line["msg"], line["seconds"], line["names"], line["cause"]) == (
        "warn",
        "slow",
        1.5,
        ["a"],
        "x",
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ('say "x"', r'"say \"x\""'),
        ("a=b", '"a=b"'),
        ("a\nlevel=error", r'"a\nlevel=error"'),
        ("a\\b", r'"a\\b"'),
        ("\x1b[31m", r'"\u001b[31m"'),
        ("\u2028", r'"\u2028"'),
        ("\x85", r'"\u0085"'),
        ("\x7f", r'"\u007f"'),
        ("münchen", "münchen"),
        ("\ud800", r'"\ud800"'),
        ("", ""),
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        ([1, "b c"], r'"[1,\"b c\"]"'),
    ],
)
def test_a_value_is_quoted_when_it_could_be_misread(out: Any, value: object, shown: str) -> None:
    logs.configure("info", "logfmt", out)
    structlog.get_logger().info("x", value=value)
    assert out.last.rstrip("\n").partition(" value=")[2] == shown


def test_a_key_can_not_break_a_line(out: Any) -> None:
    logs.configure("info", "logfmt", out)
    structlog.get_logger().info("x", **{"a b=\n": 1})
    assert out.last.endswith(" a_b__=1\n")


@pytest.mark.parametrize("format", ["logfmt", "json"])
def test_an_exception_is_one_field_of_one_line(out: Any, format: str) -> None:
    logs.configure("info", format, out)
    try:
        raise ExceptionGroup("both", [ValueError("one"), KeyError("two")])
    except ExceptionGroup:
        structlog.get_logger().exception("failed")
    assert len(out.writes) == 1
    assert out.last.count("\n") == 1
    assert "ValueError: one" in out.last
    assert "KeyError: 'two'" in out.last


def test_records_of_libraries_take_the_same_way(out: Any) -> None:
    logs.configure("info", "logfmt", out)
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger("hypercorn.error").exception("Error in %s", "request")
    assert re.match(r'ts=\S+Z caller=hypercorn\.error level=error msg="Error in request"', out.last)
    assert "ValueError: inside" in out.last
    assert len(out.writes) == 1


def test_a_record_that_can_not_be_formatted_does_not_end_the_program(
    out: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", "logfmt", out)
    logging.getLogger("library").warning("%d", "not a number")
    assert out.writes == []
    assert "Logging error" in capsys.readouterr().err


def test_libraries_that_log_each_request_are_quiet_below_warning(out: Any) -> None:
    logs.configure("debug", "logfmt", out)
    logging.getLogger("httpx").info("HTTP Request: GET https://…")
    assert out.writes == []
    logging.getLogger("httpx").warning("odd")
    logging.getLogger("other").debug("seen")
    assert len(out.writes) == 2


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warn", ["warning", "error"]),
        ("error", ["error"]),
        ("nonsense", ["info", "warning", "error"]),
    ],
)
def test_the_level_decides_what_is_shown(out: Any, level: str, shown: list[str]) -> None:
    logs.configure(level, "logfmt", out)
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)(name)
        logging.getLogger("library").log(getattr(logging, name.upper()), name)
    messages = [found for line in out.writes for found in re.findall(r"msg=(\w+)", line.decode())]
    assert messages == [name for name in shown for _ in range(2)]


def test_any_format_but_json_is_logfmt(out: Any) -> None:
    logs.configure("info", "xml", out)
    structlog.get_logger().info("x")
    assert out.last.startswith("ts=")


@pytest.mark.parametrize(
    "key", ["secret_id", "token", "hmac", "authorization", "Authorization", "X-API-Key", "private_key", "password"]
)
@pytest.mark.parametrize("format", ["logfmt", "json"])
def test_the_value_of_a_key_that_names_a_secret_is_masked(out: Any, key: str, format: str) -> None:
    logs.configure("info", format, out)
    structlog.contextvars.bind_contextvars(**{key: "planted-1"})
    structlog.get_logger().info("x", headers={key: "planted-2", "inner": {key: "planted-3"}, "host": "shown"})
    structlog.get_logger().bind(**{key: "planted-4"}).info("x")
    everything = b"".join(out.writes)
    assert b"planted" not in everything
    assert b"shown" in everything
    assert b"***" in everything


def test_context_variables_are_fields(out: Any) -> None:
    logs.configure("info", "logfmt", out)
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        structlog.get_logger().info("x")
    assert " request_id=req_1" in out.last


def test_a_line_that_is_filtered_out_reaches_no_processor(out: Any) -> None:
    logs.configure("info", "logfmt", out)

    class Costly:
        def __str__(self) -> str:
            raise AssertionError("rendered")

    structlog.get_logger().debug("x", value=Costly())
    assert out.writes == []


def test_a_real_stream_gets_whole_lines(out: Any) -> None:
    stream = io.BytesIO()
    logs.configure("info", "logfmt", stream)
    structlog.get_logger().info("one")
    structlog.get_logger().info("two")
    assert [line.partition(b"msg=")[2] for line in stream.getvalue().splitlines()] == [b"one", b"two"]


def test_a_reader_that_has_gone_does_not_end_what_was_going_on(out: Any) -> None:
    class Gone(Lines):
        def flush(self) -> None:
            raise BrokenPipeError

    logs.configure("info", "logfmt", Gone())  # type: ignore[arg-type]
    structlog.get_logger().info("x")
    logging.getLogger("library").warning("x")


def test_a_value_that_json_can_not_hold_does_not_end_what_was_going_on(out: Any) -> None:
    logs.configure("info", "json", out)
    structlog.get_logger().info("x", value=[{("a", 1): 2, "b": {1}}])
    assert json.loads(out.last)["value"] == [{"b": "{1}"}]
