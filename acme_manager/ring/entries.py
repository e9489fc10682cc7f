"""Entries of the replicated map, and their form on the wire.

There are two spaces of keys. `member/<name>/...` holds facts about a member, written by that member alone and stamped
with a counter of its starts and a sequence of its own. Everything else is written by the leader and stamped with its
term. Stamps are only ever compared under one key, so the two kinds never meet.

A packet of gossip is the byte Kind.ENTRIES, then a msgpack array of `[key, [term, sequence], value or nil]`. Readers
skip further elements of an entry: a later version may have more to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeVar

import msgspec

from acme_manager.ring.types import BadPacket

MAX_KEY = 512  # bytes of UTF-8
MAX_VALUE = 64 * 1024  # bytes
MAX_MESSAGE = 1024 * 1024  # what we read at most; everything that we write is far smaller

_OVERHEAD = 32  # an encoded entry is at most that much longer than its key and value
_ARRAY = 5  # the longest head of an array
_MEMBER = "member/"

T = TypeVar("T")
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class Stamp(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """When a write happened, in the order that counts: by term (or start of the writer), then by sequence."""

    term: _Count
    sequence: _Count


ZERO = Stamp(0, 0)  # before every write


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One write. A `value` of None is a tombstone. Raises ValueError for a key or value beyond the limits."""

    key: str
    stamp: Stamp
    value: Annotated[bytes, msgspec.Meta(max_length=MAX_VALUE)] | None

    def __post_init__(self) -> None:
        if not 0 < key_size(self.key) <= MAX_KEY:
            raise ValueError(f"a key of the shared map has 1 to {MAX_KEY} bytes, and not {key_size(self.key)}")
        if self.value is not None and len(self.value) > MAX_VALUE:
            raise ValueError(f"the value of {self.key!r} has {len(self.value)} bytes, and at most {MAX_VALUE} may be")

    @property
    def size(self) -> int:
        """No fewer bytes than the entry takes when it is encoded."""
        return _OVERHEAD + key_size(self.key) + len(self.value or b"")

    def supersedes(self, other: Entry) -> bool:
        """Whether this entry wins over another one under the same key.

        One stamp belongs to one write, so a tie means that something went wrong. Then a deletion wins, else the larger
        value: all that matters is that every node decides alike.
        """
        if self.stamp != other.stamp:
            return self.stamp > other.stamp
        return (self.value is None, self.value or b"") > (other.value is None, other.value or b"")


def key_size(key: str) -> int:
    """Bytes of a key in UTF-8. Raises UnicodeEncodeError, which is a ValueError, for half a surrogate pair."""
    return len(key) if key.isascii() else len(key.encode())


def is_fact(key: str) -> bool:
    """Whether a key belongs to a member, and not to the leader."""
    return key.startswith(_MEMBER)


_encoder = msgspec.msgpack.Encoder()
_entries = msgspec.msgpack.Decoder(list[Entry])


def encode_entries(entries: Iterable[Entry], budget: int) -> list[bytes]:
    """Bodies of packets (without their Kind) of at most `budget` bytes, in the order of the entries.

    An entry that does not fit into a packet by itself is in none of them: it travels by delta sync.
    """
    packets: list[bytes] = []
    batch: list[msgspec.Raw] = []
    room = budget - _ARRAY
    for encoded in map(_encoder.encode, entries):
        if len(encoded) > budget - _ARRAY:
            continue
        if len(encoded) > room:
            packets.append(_encoder.encode(batch))
            batch, room = [], budget - _ARRAY
        batch.append(msgspec.Raw(encoded))
        room -= len(encoded)
    return [*packets, _encoder.encode(batch)] if batch else packets


def parse_untrusted(body: bytes) -> list[Entry]:
    """The entries of a packet. Raises BadPacket, and nothing else."""
    return decode_untrusted(_entries, body, "entries of the shared map")


def decode_untrusted(decoder: msgspec.msgpack.Decoder[T], body: bytes, what: str) -> T:
    """Decode bytes from the network. Raises BadPacket, and nothing else."""
    if len(body) > MAX_MESSAGE:
        raise BadPacket(f"not {what}: {len(body)} bytes, and at most {MAX_MESSAGE} are read")
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadPacket(f"not {what}: {error}") from error
