"""What nodes say to each other about leadership, and its form on the wire.

A message travels as one packet straight to its receiver: the byte Kind.LEADERSHIP, then what `encode` returns, which is
a msgpack array `[sender, [type, field, ...]]` of well under 200 bytes. Any of them may be lost, doubled, late or out of
order. `life` is a random number of the process that asked: an answer to an earlier life of the same name is no answer.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from acme_manager.ring.types import BadPacket

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]  # what any JSON reader of the fence record can hold
_Life = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Name = Annotated[str, msgspec.Meta(max_length=255)]


class VoteRequest(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A candidate asks for a term. As a `trial` it binds nobody: it finds out whether asking has any prospect."""

    term: _Count
    life: _Life
    number: _Count
    trial: bool


class VoteReply(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The answer to the request with this life and number. `known` is the highest term that the voter knows of."""

    term: _Count
    life: _Life
    number: _Count
    trial: bool
    granted: bool
    known: _Count


class Renew(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A leader asks for its lease to run on, and tells everyone that it leads."""

    term: _Count
    life: _Life
    number: _Count


class RenewReply(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The answer to the renewal with this life and number."""

    term: _Count
    life: _Life
    number: _Count
    granted: bool
    known: _Count


class Release(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The sender will never again use the lease of this term. `successor` (may be empty) should try first."""

    term: _Count
    life: _Life
    successor: _Name


Message = VoteRequest | VoteReply | Renew | RenewReply | Release

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=255)], Message])


def encode(sender: str, message: Message) -> bytes:
    """The body of a packet, without its Kind."""
    return _encoder.encode((sender, message))


def parse_untrusted(body: bytes) -> tuple[str, Message]:
    """The sender's name and the message. Raises BadPacket, and nothing else."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadPacket(f"not a message about leadership: {error}") from error
