"""How Go reads the value of a flag."""

from __future__ import annotations

import re

from acme_manager.config.flag import Flag, FlagValue, Kind
from acme_manager.config.readers import go_boolean
from acme_manager.domain.durations import format_go_duration, parse_go_duration

_INTEGER = re.compile(r"[+-]?[0-9a-zA-Z_]+", re.ASCII)
_OLD_OCTAL = re.compile(r"[+-]?0[0-7_]+")


def parse_value(flag: Flag, text: str) -> FlagValue:
    """Read a flag's value. Raises ValueError saying what would be right."""
    match flag.kind:
        case Kind.STRING:
            return text
        case Kind.STRINGS:
            return (text,)
        case Kind.BOOL:
            return go_boolean(text)
        case Kind.INT:
            number: float = _parse_int(text)
        case Kind.DURATION:
            number = parse_go_duration(text)
    if (flag.low is not None and number < flag.low) or (flag.high is not None and number > flag.high):
        raise ValueError(f"must be {_bounds(flag)}")
    return number


def _parse_int(text: str) -> int:
    """Read an integer with its base from its prefix (`0x`, `0o`, `0b`, `0`) and underscores between digits."""
    try:
        if not _INTEGER.fullmatch(text):
            raise ValueError
        number = int(text, 8 if _OLD_OCTAL.fullmatch(text) else 0)
    except ValueError:
        raise ValueError("must be a whole number") from None
    if not -(2**63) <= number < 2**63:
        raise ValueError("is out of range")
    return number


def _bounds(flag: Flag) -> str:
    low, high = (None if bound is None else format_value(flag.kind, bound) for bound in (flag.low, flag.high))
    return f"at least {low}" if high is None else f"between {low} and {high}"


def format_value(kind: Kind, value: FlagValue) -> str:
    """Write a value as a command line takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return format_go_duration(float(value)) if kind is Kind.DURATION else str(value)
