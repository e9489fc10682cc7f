"""Command lines in the syntax of Go's `flag` package, read into a class that declares its flags.

`-name` and `--name` are the same; a value follows after `=` or as the next word, except for booleans, which take `=`
only. Unlike in Go, a word that belongs to no flag is an error: there, `-cleanup true` silently drops all later flags.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from typing import NoReturn, TypeVar

import attrs

from acme_manager.cli.values import format_value, parse_value
from acme_manager.config.flag import Flag, FlagValue, Kind, as_fields, flags_of
from acme_manager.config.readers import GO_BOOLEANS

_HELP = frozenset({"-h", "--h", "-help", "--help"})
_HELP_ALL = frozenset({"-help-all", "--help-all"})
HELP = _HELP | _HELP_ALL

T = TypeVar("T", bound=attrs.AttrsInstance)


class UsageError(Exception):
    """The command line can't be used; the message says what to write instead."""


def read_or_exit(declared_in: type[T], program: str, arguments: Sequence[str]) -> T:
    """Read a command line, or end the process: 0 after the help that was asked for, 2 when it can't be used."""
    flags = flags_of(declared_in)
    words = set(arguments)
    if words & HELP:
        print(usage(program, flags, everything=bool(words & _HELP_ALL)), end="")
        raise SystemExit(0)
    try:
        return declared_in(**as_fields(declared_in, parse(flags, arguments)))
    except UsageError as error:
        refuse(declared_in, program, str(error))


def refuse(declared_in: type[T], program: str, message: str) -> NoReturn:
    """End the process with status 2; as in the Go original the error goes to stderr and the help to stdout."""
    print(message, file=sys.stderr)
    print(usage(program, flags_of(declared_in), everything=False), end="")
    raise SystemExit(2)


def parse(flags: Sequence[Flag], arguments: Sequence[str]) -> dict[str, FlagValue]:
    """Read the flags that are given, by name; of one given twice the last value counts. Raises UsageError."""
    known = {flag.name: flag for flag in flags}
    given: dict[str, FlagValue] = {}
    words, last = list(arguments), None
    while words:
        word = words.pop(0)
        if word == "--" and not words:
            break
        if word in {"-", "--"} or not word.startswith("-"):
            raise _left_over(words[0] if word == "--" else word, last)
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if not name or name.startswith("-"):
            raise UsageError(f"bad flag syntax: {word}")
        last = flag = _known(known, name)
        if not equals:
            value = _value_of(flag, words)
        given[name] = _read(flag, value, given.get(name))
    return given


def _known(known: dict[str, Flag], name: str) -> Flag:
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f", did you mean -{near[0]}?" if near else "; -help-all lists all flags"
    raise UsageError(f"flag provided but not defined: -{name}{hint}")


def _value_of(flag: Flag, words: list[str]) -> str:
    """The value of a flag without `=`: the next word, whatever it looks like, but never for a boolean."""
    if flag.kind is Kind.BOOL:
        return "true"
    if not words:
        raise UsageError(f"flag needs an argument: -{flag.name}, write -{flag.name}={_placeholder(flag)}")
    return words.pop(0)


def _read(flag: Flag, text: str, earlier: FlagValue | None) -> FlagValue:
    try:
        value = parse_value(flag, text)
    except ValueError as error:
        what = "boolean value" if flag.kind is Kind.BOOL else "value"
        raise UsageError(f'invalid {what} "{text}" for flag -{flag.name}: {error}') from None
    if isinstance(value, tuple) and isinstance(earlier, tuple):
        return earlier + value
    return value


def _left_over(word: str, last: Flag | None) -> UsageError:
    if last is not None and last.kind is Kind.BOOL and word in GO_BOOLEANS:
        return UsageError(f"unexpected argument '{word}': write -{last.name}={word}")
    return UsageError(f"unexpected argument '{word}': every option begins with '-', and none takes a second word")


def usage(program: str, flags: Sequence[Flag], *, everything: bool) -> str:
    """The help: the common flags, or every one."""
    hidden = "" if everything else "\nThese are the common flags; -help-all shows every one.\n"
    shown = [flag for flag in flags if everything or flag.common]
    return f"Usage of {program}:\n" + "".join(map(_line, sorted(shown, key=lambda flag: flag.name))) + hidden


def _line(flag: Flag) -> str:
    default = format_value(flag.kind, flag.default)
    shown = f' (default "{default}")' if default not in {"", "false"} else ""
    takes = "" if flag.kind is Kind.BOOL else f" {_placeholder(flag)}"
    return f"  -{flag.name}{takes}\n\t{flag.help}{shown}\n"


def _placeholder(flag: Flag) -> str:
    return "string" if flag.kind is Kind.STRINGS else flag.kind.value
