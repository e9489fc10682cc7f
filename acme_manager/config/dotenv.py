"""`.env` files as the Go original reads them (godotenv): variables for the process and its DNS providers.

Nothing here touches `os.environ`: the result is a value that the configuration carries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_BLANK = " \t\v\f\r\x85\xa0"
_SKIPPED = re.compile(rf"(?:[{_BLANK}\n]|#[^\n]*)*")
_KEY = re.compile(rf"(?:export[{_BLANK}]+)?([A-Za-z0-9_.-]+)[{_BLANK}]*[=:]([{_BLANK}]*)")
_QUOTED = {
    "'": re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL),
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
}
_UNQUOTED = re.compile(r"[^\r\n]*")
_COMMENT = re.compile(rf"[{_BLANK}]#.*")
_ESCAPE = re.compile(r"\\([^$])", re.DOTALL)
_VARIABLE = re.compile(r"\\\$|\$(?:\{([A-Z0-9_]+)\}|([A-Z0-9_]+))")


class DotenvInvalid(ValueError):
    """A `.env` file can't be read. The message names the line and the remedy, and never shows a value."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


def read(path: Path) -> dict[str, str]:
    """Read a file. Raises OSError, and DotenvInvalid, which leaves nothing half-read."""
    try:
        return parse(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DotenvInvalid("is not UTF-8: save the file in that encoding", line) from None


def overlay(process: Mapping[str, str], file: Mapping[str, str]) -> dict[str, str]:
    """The variables of the process over those of the file: a file never overrides what is set already."""
    return {**file, **process}


def parse(text: str) -> dict[str, str]:
    """Read assignments `KEY=VALUE` or `KEY: VALUE`, each with an optional `export`. Raises DotenvInvalid.

    Single quotes are literal; double quotes know `\\n` and `\\r`; both may span lines. `$NAME` and `${NAME}` outside
    single quotes stand for what this file has set further up, and for nothing when it has not.
    """
    text = text.replace("\r\n", "\n")
    values: dict[str, str] = {}
    at = _skip(text, 0)
    while at < len(text):
        key = _KEY.match(text, at)
        if key is None:
            raise DotenvInvalid("expected KEY=VALUE: a name of letters, digits and _ . - before '='", _line(text, at))
        values[key[1]], at = _value(text, key, values)
        at = _skip(text, at)
    return values


def _skip(text: str, at: int) -> int:
    """Where the next assignment begins: after blank space, empty lines and comments."""
    found = _SKIPPED.match(text, at)
    return found.end() if found else at


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _value(text: str, key: re.Match[str], earlier: Mapping[str, str]) -> tuple[str, int]:
    """The value after a key, and where it ends."""
    at = key.end()
    quote = text[at : at + 1]
    if quote in _QUOTED:
        found = _QUOTED[quote].match(text, at)
        if found is None:
            raise DotenvInvalid(f"the value of {key[1]} lacks its closing {quote}", _line(text, at))
        value = found[1] if quote == "'" else _expand(_ESCAPE.sub(_unescape, found[1]), earlier)
        return value, found.end()
    # A '#' directly after '=' belongs to the value; after blank space it begins a comment.
    line = _UNQUOTED.match(text, at)
    end = line.end() if line else at
    return _expand(_COMMENT.sub("", key[2] + text[at:end]).strip(_BLANK), earlier), end


def _unescape(found: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r"}.get(found[1], found[1])


def _expand(value: str, earlier: Mapping[str, str]) -> str:
    """Put in variables; `\\$` is a plain dollar sign."""
    return _VARIABLE.sub(
        lambda found: "$" if found[0] == "\\$" else earlier.get(found[1] or found[2], ""),
        value,
    )
