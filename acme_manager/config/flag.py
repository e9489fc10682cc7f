"""How a command line is declared: a frozen class whose fields carry their flag.

The class is the one source of truth: the parser, the help text and the documentation's test all read it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

FlagValue = str | int | float | bool | tuple[str, ...]


class Kind(enum.StrEnum):
    """What a flag takes; the value is the word that the help shows for it."""

    STRING = "string"
    STRINGS = "strings"  # may be given several times
    INT = "int"
    BOOL = "bool"
    DURATION = "duration"


@attrs.frozen(kw_only=True)
class Flag:
    """One flag. `low` and `high` bound a number; durations are in seconds. `common` ones are in the short help."""

    name: str
    kind: Kind
    default: FlagValue
    help: str
    common: bool = False
    low: float | None = None
    high: float | None = None


def flag(
    name: str,
    kind: Kind,
    default: FlagValue,
    help: str,
    *,
    common: bool = True,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A field of a class of flags; its default is the flag's."""
    declared = Flag(name=name, kind=kind, default=default, help=help, common=common, low=low, high=high)
    return attrs.field(default=default, metadata={"flags": (declared,)})


def flag_group(prefix: str, flags: Sequence[Flag]) -> Any:
    """A field that holds many flags as a mapping; their keys are their names without `prefix`."""
    defaults = {declared.name.removeprefix(prefix): declared.default for declared in flags}
    return attrs.field(factory=lambda: dict(defaults), metadata={"flags": tuple(flags), "prefix": prefix})


def flags_of(declared_in: type[attrs.AttrsInstance]) -> tuple[Flag, ...]:
    """Every flag that a class declares, in order."""
    return tuple(declared for field in attrs.fields(declared_in) for declared in field.metadata["flags"])


def as_fields(declared_in: type[attrs.AttrsInstance], given: Mapping[str, FlagValue]) -> dict[str, Any]:
    """Turn values by flag name into arguments of the class that declares the flags."""
    arguments: dict[str, Any] = {}
    for field in attrs.fields(declared_in):
        values = {one.name: given.get(one.name, one.default) for one in field.metadata["flags"]}
        prefix = field.metadata.get("prefix")
        arguments[field.name] = (
            next(iter(values.values()))
            if prefix is None
            else {name.removeprefix(prefix): value for name, value in values.items()}
        )
    return arguments
