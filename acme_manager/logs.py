"""Logging: our events and the records of libraries through one pipeline, as logfmt or JSON, one write per line.

A line begins with `ts` (UTC, RFC 3339), `caller`, `level` and `msg`, as the Go original's do; an exception is one more
field. Values under keys that name secrets are masked: a safety net, not a licence to log them.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, BinaryIO

import structlog
from structlog.typing import Processor

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_NAMES = {"warning": "warn", "critical": "error", "exception": "error"}
_CHATTY = ("httpx", "httpcore", "urllib3", "hvac", "hypercorn.access", "quart.serving")  # a line for every request
_SECRETS = frozenset(
    {
        "api_key", "authorization", "bearer", "client_token", "hmac", "key_authorization", "passphrase", "password",
        "private_key", "role_id", "secret", "secret_id", "token", "token_hash", "tsig_secret", "x_api_key",
    }
)  # fmt: skip
_MASK = "***"
_FIRST = ("ts", "caller", "level", "msg")
_NEEDS_QUOTES = re.compile(r'[\s="\\]|[^\x20-\x7e\xa1-\ud7ff\uf900-\ufffd\U00010000-\U0010fffd]')
_NOT_IN_KEY = re.compile(r'[\s="]|[^\x21-\x7e]')

Fields = MutableMapping[str, Any]


def configure(level: str, format: str, stream: BinaryIO | None = None) -> None:
    """Send everything that is logged to a stream, standard output by default.

    `level` is debug, info, warn or error, and anything else means info; `format` json means JSON, else logfmt.
    """
    threshold = _LEVELS.get(level.lower(), logging.INFO)
    target = stream or sys.stdout.buffer
    render = _json if format == "json" else _logfmt
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        _mask,
        lambda _, __, fields: f"{render(_ordered(fields))}\n".encode(errors="backslashreplace"),
    ]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _add_caller,
            *shared,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda name="", *_: _Output(target, name),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_Records(shared, _Output(target).write)]
    root.setLevel(threshold)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


class _Output:
    """Writes lines; where nobody can take them they are lost, since a server must not end because its log has."""

    def __init__(self, stream: BinaryIO, name: str = "") -> None:
        self._stream = stream
        self.caller = name.removeprefix("acme_manager.")

    def write(self, line: bytes) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(line)
            self._stream.flush()

    debug = info = warning = error = critical = write


class _Records(logging.Handler):
    """Takes the records of libraries into the pipeline."""

    def __init__(self, processors: list[Processor], write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._processors, self._write = processors, write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line: Any = {
                "event": record.getMessage(),
                "level": record.levelname.lower(),
                "caller": record.name,
            }
            if record.exc_info:
                line["exc_info"] = record.exc_info
            for process in self._processors:
                line = process(None, record.levelname.lower(), line)
            self._write(line)
        except Exception:  # noqa: BLE001 a log line that can't be written must not end what was going on
            self.handleError(record)


def _add_caller(logger: _Output, _: str, fields: Fields) -> Fields:
    """The module that logs. Looking for the line too would cost as much as all the rest (it walks the stack)."""
    fields["caller"] = logger.caller
    return fields


def _ordered(fields: Fields) -> Fields:
    """Our names for structlog's fields, the fixed ones first."""
    level = fields.pop("level", "info")
    first = (fields.pop("ts", ""), fields.pop("caller", ""), _NAMES.get(level, level), fields.pop("event", ""))
    return {**dict(zip(_FIRST, first, strict=True)), **fields}


def _mask(_: Any, __: str, fields: Fields) -> Fields:
    for key, value in fields.items():
        if _is_secret(key) and value:
            fields[key] = _MASK
        elif isinstance(value, dict):
            fields[key] = _masked(value)
    return fields


def _masked(values: dict[Any, Any]) -> dict[str, Any]:
    return {
        str(key): _MASK if _is_secret(str(key)) else _masked(value) if isinstance(value, dict) else value
        for key, value in values.items()
    }


@lru_cache(1024)  # keys are few, lines are many
def _is_secret(key: str) -> bool:
    return key.lower().replace("-", "_") in _SECRETS


def _json(fields: Any) -> str:
    return json.dumps(fields, default=str, skipkeys=True, separators=(",", ":"), ensure_ascii=False)


def _logfmt(fields: Fields) -> str:
    """`key=value` pairs; what is not plain is quoted as a JSON string, so that a line stays a line."""
    return " ".join([f"{_key(key)}={_text(value)}" for key, value in fields.items()])


@lru_cache(1024)
def _key(key: str) -> str:
    return _NOT_IN_KEY.sub("_", key)


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = _json(value) if isinstance(value, dict | list | tuple) else str(value)
    # Characters beyond ASCII are escaped only in a text that holds one which is not printable.
    return json.dumps(text, ensure_ascii=not text.isprintable()) if _NEEDS_QUOTES.search(text) else text
