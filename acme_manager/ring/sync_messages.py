"""What two nodes say to each other to make their copies of the map equal, and its form on the wire.

A message is its Kind's byte, then what `encode` returns: a msgpack array `[type, field, ...]`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from acme_manager.ring.digest import BUCKETS, SIZE
from acme_manager.ring.entries import MAX_KEY, Entry, Stamp, decode_untrusted

BATCH = 256 * 1024  # bytes of entries or keys in one message: a few milliseconds of work at either end

_Key = Annotated[str, msgspec.Meta(max_length=MAX_KEY)]
_Check = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class Summary(msgspec.Struct, frozen=True, array_like=True):
    """A whole copy in about 30 bytes: the user state of push/pull (Kind.DIGEST)."""

    root: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    count: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    highest: Stamp


class Position(msgspec.Struct, frozen=True, order=True, array_like=True):
    """How far a comparison has come in the order of (bucket, key); everything up to here is done."""

    bucket: Annotated[int, msgspec.Meta(ge=0, le=BUCKETS)]
    key: _Key


START = Position(0, "")
END = Position(BUCKETS, "")


class Compare(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Asks what differs behind a position. `digests` are those of the asker (Digest.buckets)."""

    horizon: Stamp
    digests: Annotated[bytes, msgspec.Meta(min_length=SIZE, max_length=SIZE)]
    after: Position


class Exchange(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Brings entries, and asks for others."""

    horizon: Stamp
    entries: list[Entry]
    wanted: list[_Key]


class Known(msgspec.Struct, frozen=True, array_like=True):
    """An entry without its value. `check`: the low 32 bits of its fingerprint, None for a tombstone."""

    key: _Key
    stamp: Stamp
    check: _Check | None


class Listing(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """What the answerer has from where the question stood up to `until`, in the buckets that differ.

    Entries whose bucket is empty at the asker's come complete at once.
    """

    horizon: Stamp
    differing: Annotated[list[Annotated[int, msgspec.Meta(ge=0, lt=BUCKETS)]], msgspec.Meta(max_length=BUCKETS)]
    known: list[Known]
    entries: list[Entry]
    until: Position


class Delivery(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The entries behind the first `served` of the keys that were wanted. A key that is gone has none."""

    horizon: Stamp
    entries: list[Entry]
    served: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


Request = Compare | Exchange
Reply = Listing | Delivery

_encoder = msgspec.msgpack.Encoder()
_summary = msgspec.msgpack.Decoder(Summary)
_request: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_reply: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def encode(message: Summary | Request | Reply) -> bytes:
    """The body of a message, without its Kind."""
    return _encoder.encode(message)


def parse_untrusted_summary(body: bytes) -> Summary:
    """Raises BadPacket, and nothing else."""
    return decode_untrusted(_summary, body, "a summary of the shared map")


def parse_untrusted_request(body: bytes) -> Request:
    """Raises BadPacket, and nothing else."""
    return decode_untrusted(_request, body, "a request of delta sync")


def parse_untrusted_reply(body: bytes) -> Reply:
    """Raises BadPacket, and nothing else."""
    return decode_untrusted(_reply, body, "a reply of delta sync")
