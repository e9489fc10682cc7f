"""Request bodies by the rules of Go's decoder, which clients of the original rely on.

Keys match without regard to case, unknown ones are ignored, so is whatever follows the first JSON value, and `null`
leaves a field at its default. A wrong type is a complaint that names the field and what would be right.
"""

from __future__ import annotations

import functools
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from acme_manager.api.request import current_request
from acme_manager.errors import Complaint, InvalidRequest

P = TypeVar("P", bound=attrs.AttrsInstance)

Reader = Callable[[Any, str], Any]  # of a value and of where it is, for complaints about what is inside

_INT32 = range(-(2**31), 2**31)
_MOST_COMPLAINTS = 100
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}


async def read_body(shape: type[P], *, strict: bool = False) -> P:
    """Read the body of the current request. Raises InvalidRequest, and Quart's errors for too large and too slow.

    `strict` refuses unknown keys, for requests in which one that is not read does harm.
    """
    body = await current_request().get_data(as_text=False)
    assert isinstance(body, bytes)
    return decode(body, shape, strict=strict)


def decode(body: bytes, shape: type[P], *, strict: bool = False) -> P:
    """Make an attrs value of a JSON object. Raises InvalidRequest with every complaint."""
    record = _first_value(body.decode(errors="replace"))
    if record is None:
        return shape()
    if not isinstance(record, dict):
        raise InvalidRequest(f"the body must be a JSON object, not {_KINDS[type(record)]}")
    return _structure(record, shape, strict=strict)


def _structure(record: Mapping[str, Any], shape: type[P], *, strict: bool = False, within: str = "") -> P:
    """Make an attrs value of an object, which is `within` another one. Raises InvalidRequest with every complaint."""
    readers = _readers(shape)
    values: dict[str, Any] = {}
    complaints: list[Complaint] = []
    for key, value in record.items():
        field = key.lower()
        if strict and field not in readers:
            known = ", ".join(readers)
            complaints.append(Complaint(within + key, f"'{within}{key[:40]}' is not known; known are: {known}"))
        if field not in readers or value is None:
            continue
        where = within + field
        try:
            values[field] = readers[field](value, where)
        except TypeError as error:
            complaints.append(Complaint(where, f"'{where}' must be {error}, not {_shown(value)}"))
        except InvalidRequest as error:
            complaints += error.complaints
    if complaints:
        complaints = complaints[:_MOST_COMPLAINTS]
        raise InvalidRequest("; ".join(one.message for one in complaints), complaints[0].where, complaints)
    return shape(**values)


def _first_value(text: str) -> Any:
    text = text.lstrip(" \t\r\n")
    if not text:
        raise InvalidRequest("the body is empty (EOF): it must be a JSON object")
    try:
        return json.JSONDecoder(parse_constant=_refuse_constant).raw_decode(text)[0]
    except RecursionError as error:
        raise InvalidRequest("the body is no JSON that we read: it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"the body is no JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except ValueError as error:
        raise InvalidRequest(f"the body is no JSON that we read: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


@functools.cache
def _readers(shape: type[attrs.AttrsInstance]) -> Mapping[str, Reader]:
    hints = typing.get_type_hints(shape)
    return {field.name: _reader(hints[field.name]) for field in attrs.fields(shape)}


def _reader(hint: Any) -> Reader:
    """Besides the simple ones there are `Shape | None`, an object, and `tuple[Shape, ...]`, a list of objects."""
    if hint in _READERS:
        simple = _READERS[hint]
        return lambda value, _where: simple(value)
    shape = typing.get_args(hint)[0]
    if typing.get_origin(hint) is tuple:
        return functools.partial(_read_objects, shape)
    return functools.partial(_read_object, shape)


def _read_object(shape: type[P], value: Any, where: str) -> P:
    if not isinstance(value, dict):
        raise TypeError("an object")
    return _structure(value, shape, within=f"{where}/")


def _read_objects(shape: type[P], value: Any, where: str) -> tuple[P, ...]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise TypeError("a list of objects")
    found: list[P] = []
    complaints: list[Complaint] = []
    for index, one in enumerate(value):
        try:
            found.append(_read_object(shape, one, f"{where}/{index}"))
        except InvalidRequest as error:
            complaints += error.complaints
    if complaints:
        raise InvalidRequest(complaints[0].message, complaints[0].where, complaints)
    return tuple(found)


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a string")
    if value.isascii():
        return value
    # Half of a surrogate pair can be written in JSON but in no encoding; Go reads U+FFFD too.
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _read_int32(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value not in _INT32:
        raise TypeError(f"a whole number from {_INT32[0]} to {_INT32[-1]}")
    return value


def _read_texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError("a list of strings")
    return tuple(map(_read_text, value))


_READERS: Mapping[Any, Callable[[Any], Any]] = {
    str: _read_text,
    bool: _read_flag,
    int: _read_int32,
    tuple[str, ...]: _read_texts,
}


def _shown(value: Any) -> str:
    """What came instead: numbers as they are, of the rest only the kind, since it may be long or secret."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**20:
        return str(value)
    return _KINDS[type(value)]
