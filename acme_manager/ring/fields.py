"""memberlist's dialect of msgpack, and the kinds of fields that its messages are made of.

The dialect is msgpack from before 2013: texts and byte strings are both "raw", and a structure is a map keyed by field
name, in alphabetical order. Reading is generous in what a peer may choose (any width of integer, any kind of string,
unknown fields, missing fields, nil) and strict in what a field can hold. Writing is strict throughout: a value that a
peer could not hold is an error of ours and raises ValueError.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeVar, get_type_hints

import attrs
import msgpack

from acme_manager.ring.types import Address, BadPacket

MAX_NAME = 255  # bytes; no host has a longer one
MAX_META = 512  # bytes; memberlist's limit
VSN_SIZE = 6
MAX_ITEM = 4096  # bytes of any one map; the longest of ours takes about 1,300

# A peer's msgpack may announce any length before it sends a byte, and the decoder makes room for it at once.
_BOUNDS = {"max_array_len": 64, "max_map_len": 64, "raw": True, "strict_map_key": False}

Body = Mapping[object, object]
Record = TypeVar("Record")


class Field(Protocol):
    """How one attribute of a message is kept in a map: some attributes take two keys."""

    def write(self, value: Any) -> Iterable[tuple[bytes, object]]:
        """The entries for the map. Raises ValueError for what a peer could not read."""

    def read(self, body: Body) -> Any:
        """The attribute's value; zero if it is missing. Raises BadPacket."""


@attrs.frozen
class Number:
    """An unsigned integer of so many bits, read into a type of ours that has a value for each."""

    key: bytes
    bits: int = 32
    into: type[int] = int

    def write(self, value: int) -> Iterator[tuple[bytes, object]]:
        """See Field."""
        if not 0 <= value < 1 << self.bits:
            raise ValueError(f"{self.key.decode()} {value} does not fit {self.bits} bits")
        yield self.key, value

    def read(self, body: Body) -> int:
        """See Field."""
        value = body.get(self.key)
        if value is None:
            return self.into(0)
        if type(value) is not int or not 0 <= value < 1 << self.bits:
            raise BadPacket(f"{self.key.decode()} is no unsigned number of {self.bits} bits")
        return self.into(value)


@attrs.frozen
class Flag:
    """Yes or no."""

    key: bytes

    def write(self, value: bool) -> Iterator[tuple[bytes, object]]:
        """See Field."""
        yield self.key, value

    def read(self, body: Body) -> bool:
        """See Field."""
        value = body.get(self.key)
        if value not in (None, False, True):  # 0 and 1 are equal to these
            raise BadPacket(f"{self.key.decode()} is neither true nor false")
        return bool(value)


@attrs.frozen
class Octets:
    """A byte string of so many bytes at most. `nil`: an empty one is written as nil, as peers write it."""

    key: bytes
    limit: int
    nil: bool = False

    def write(self, value: bytes) -> Iterator[tuple[bytes, object]]:
        """See Field."""
        if len(value) > self.limit:
            raise ValueError(f"{self.key.decode()} has {len(value)} bytes, where {self.limit} are allowed")
        yield self.key, None if self.nil and not value else value

    def read(self, body: Body) -> bytes:
        """See Field."""
        return _octets(body, self.key, self.limit)


@attrs.frozen
class Text:
    """UTF-8 text. `required`: an empty one is an error; `omit`: an empty one is left out."""

    key: bytes
    limit: int = MAX_NAME
    required: bool = False
    omit: bool = False

    def write(self, value: str) -> Iterator[tuple[bytes, object]]:
        """See Field."""
        octets = value.encode()
        if len(octets) > self.limit or (self.required and not octets):
            raise ValueError(
                f"{self.key.decode()} has {len(octets)} bytes, where {int(self.required)} to {self.limit} belong"
            )
        if octets or not self.omit:
            yield self.key, octets

    def read(self, body: Body) -> str:
        """See Field."""
        octets = _octets(body, self.key, self.limit)
        if self.required and not octets:
            raise BadPacket(f"{self.key.decode()} is missing")
        try:
            return octets.decode()
        except UnicodeDecodeError as error:
            raise BadPacket(f"{self.key.decode()} is no UTF-8 text") from error


@attrs.frozen
class Versions:
    """The six protocol versions of a node. The one place that guards their number, in both directions.

    A message of ours with fewer would end the process of every peer with memberlist 0.5 or older. Longer ones are cut,
    as such peers do.
    """

    key: bytes

    def write(self, value: bytes) -> Iterator[tuple[bytes, object]]:
        """See Field."""
        if len(value) != VSN_SIZE:
            raise ValueError(f"{self.key.decode()} has {len(value)} bytes, where {VSN_SIZE} belong")
        yield self.key, value

    def read(self, body: Body) -> bytes:
        """See Field."""
        value = _octets(body, self.key, MAX_NAME)
        if len(value) < VSN_SIZE:
            raise BadPacket(f"{self.key.decode()} has {len(value)} bytes, where {VSN_SIZE} belong")
        return value[:VSN_SIZE]


@attrs.frozen
class Endpoint:
    """An IP address and a port, under two keys. `omit`: both may be missing, which reads as None."""

    host: bytes
    port: bytes
    omit: bool = False

    def write(self, value: Address | None) -> Iterator[tuple[bytes, object]]:
        """See Field."""
        if value is None:
            if not self.omit:
                raise ValueError(f"{self.host.decode()} is missing")
            return
        host, port = value
        yield self.host, _packed(host)
        yield from Number(self.port, 16).write(port)

    def read(self, body: Body) -> Address | None:
        """See Field. IPv4 in the clothes of IPv6 becomes IPv4. A port of 0 is kept, unless both may be missing."""
        packed = _octets(body, self.host, 16)
        port = Number(self.port, 16).read(body)
        if self.omit and not (packed and port):
            return None
        try:
            return _host(packed), port
        except ValueError as error:
            raise BadPacket(f"{self.host.decode()} is no IP address") from error


@lru_cache(maxsize=4096)
def _packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed


@lru_cache(maxsize=4096)
def _host(packed: bytes) -> str:
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def pack(record: Any) -> bytes:
    """The map of an attrs value whose attributes are annotated with a Field. Raises ValueError, see Field.write."""
    pairs = [pair for name, field in _fields(type(record)) for pair in field.write(getattr(record, name))]
    return msgpack.packb(dict(sorted(pairs)), use_bin_type=False)  # type: ignore[no-any-return]


def read(kind: type[Record], body: Body) -> Record:
    """The attrs value that a map holds. Raises BadPacket."""
    return kind(**{name: field.read(body) for name, field in _fields(kind)})


def unpack_untrusted(octets: bytes | memoryview) -> tuple[Body, int] | None:
    """The map at the start of some bytes, and how many of them it takes; None if it needs more. Raises BadPacket."""
    if not octets:
        return None
    unpacker = msgpack.Unpacker(**_BOUNDS, max_buffer_size=len(octets))
    unpacker.feed(octets)
    try:
        body = unpacker.unpack()
    except msgpack.OutOfData:
        return None
    except (msgpack.UnpackException, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadPacket("what follows the type is no msgpack") from error
    if not isinstance(body, dict):
        raise BadPacket("what follows the type is no msgpack map")
    return body, unpacker.tell()


def _octets(body: Body, key: bytes, limit: int) -> bytes:
    value = body.get(key)
    if value is None:
        return b""
    if isinstance(value, list) and all(type(octet) is int and 0 <= octet < 256 for octet in value):
        value = bytes(value)  # how some encoders write a slice of bytes
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes):
        raise BadPacket(f"{key.decode()} is no string")
    if len(value) > limit:
        raise BadPacket(f"{key.decode()} has {len(value)} bytes, where {limit} are allowed")
    return value


def _fields(kind: type[Any]) -> tuple[tuple[str, Field], ...]:
    if kind not in _known:
        hints = get_type_hints(kind, include_extras=True)
        _known[kind] = tuple((name, hint.__metadata__[0]) for name, hint in hints.items())
    return _known[kind]


_known: dict[type[Any], tuple[tuple[str, Field], ...]] = {}
