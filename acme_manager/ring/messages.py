"""memberlist's messages and how they travel in packets.

A packet, from the outside in: [checksum] [compression] [compound] message. Encryption and the label around it are in
`envelope`, streams in `streams`. Every message is a byte for its type and a map, except a user's, which is just bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated

import attrs

from acme_manager.ring.fields import (
    MAX_META,
    Body,
    Endpoint,
    Flag,
    Number,
    Octets,
    Text,
    Versions,
    pack,
    read,
    unpack_untrusted,
)
from acme_manager.ring.lzw import decompress_untrusted
from acme_manager.ring.types import Address, BadPacket, Status

MAX_INFLATED = 1 << 20  # bytes that all compressed parts of one packet may have together
MAX_MESSAGES = 1024  # in one packet; peers pack 255 at most
_MAX_LAYERS = 4  # compression and compounds around a message; peers use two
_MAX_PART = 0xFFFF
_MAX_PARTS = 0xFF
_LZW = 0


class Type(IntEnum):
    """The first byte of everything."""

    PING = 0
    INDIRECT_PING = 1
    ACK = 2
    SUSPECT = 3
    ALIVE = 4
    DEAD = 5
    PUSH_PULL = 6  # streams only
    COMPOUND = 7  # packets only
    USER = 8
    COMPRESS = 9
    ENCRYPT = 10  # streams only
    NACK = 11
    CRC = 12  # packets only
    ERR = 13  # streams only
    LABEL = 244


@attrs.frozen(kw_only=True)
class Ping:
    """Are you there? `node`: whom it is for, or "". `source`: where the answer goes, if not to where this came from."""

    sequence: Annotated[int, Number(b"SeqNo")]
    node: Annotated[str, Text(b"Node")] = ""
    source: Annotated[Address | None, Endpoint(b"SourceAddr", b"SourcePort", omit=True)] = None
    source_node: Annotated[str, Text(b"SourceNode", omit=True)] = ""


@attrs.frozen(kw_only=True)
class IndirectPing:
    """Please ping `node` at `target` for me (port 0: your own port), and say so if it does not answer (`nack`)."""

    sequence: Annotated[int, Number(b"SeqNo")]
    target: Annotated[Address, Endpoint(b"Target", b"Port")]
    node: Annotated[str, Text(b"Node")] = ""
    nack: Annotated[bool, Flag(b"Nack")] = False
    source: Annotated[Address | None, Endpoint(b"SourceAddr", b"SourcePort", omit=True)] = None
    source_node: Annotated[str, Text(b"SourceNode", omit=True)] = ""


@attrs.frozen(kw_only=True)
class Ack:
    """I am here."""

    sequence: Annotated[int, Number(b"SeqNo")]
    payload: Annotated[bytes, Octets(b"Payload", _MAX_PART, nil=True)] = attrs.field(default=b"", repr=False)


@attrs.frozen(kw_only=True)
class Nack:
    """The node that I pinged for you has not answered yet."""

    sequence: Annotated[int, Number(b"SeqNo")]


@attrs.frozen(kw_only=True)
class Suspect:
    """`by` can't reach `node`."""

    incarnation: Annotated[int, Number(b"Incarnation")]
    node: Annotated[str, Text(b"Node", required=True)]
    by: Annotated[str, Text(b"From")]


@attrs.frozen(kw_only=True)
class Dead:
    """`by` says that `node` is gone; a node that says so of itself has left."""

    incarnation: Annotated[int, Number(b"Incarnation")]
    node: Annotated[str, Text(b"Node", required=True)]
    by: Annotated[str, Text(b"From")]


@attrs.frozen(kw_only=True)
class Alive:
    """`node` is there, at this address (port 0: the reader's own port). `vsn`: always six bytes."""

    incarnation: Annotated[int, Number(b"Incarnation")]
    node: Annotated[str, Text(b"Node", required=True)]
    address: Annotated[Address, Endpoint(b"Addr", b"Port")]
    meta: Annotated[bytes, Octets(b"Meta", MAX_META)] = b""
    vsn: Annotated[bytes, Versions(b"Vsn")]


@attrs.frozen
class User:
    """Bytes of the layers above."""

    payload: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class PushNode:
    """What a peer holds of one node, in a full exchange of state. `vsn`: always six bytes."""

    incarnation: Annotated[int, Number(b"Incarnation")]
    name: Annotated[str, Text(b"Name", required=True)]
    address: Annotated[Address, Endpoint(b"Addr", b"Port")]
    meta: Annotated[bytes, Octets(b"Meta", MAX_META)] = b""
    vsn: Annotated[bytes, Versions(b"Vsn")]
    status: Annotated[Status, Number(b"State", 2, into=Status)] = Status.ALIVE


@attrs.frozen(kw_only=True)
class Err:
    """Why a peer did not read our stream."""

    error: Annotated[str, Text(b"Error", 1024)]


@attrs.frozen
class Unreadable:
    """A part of a compound that could not be read. Its neighbours could: one node's odd name must not cost us acks."""

    reason: str


Message = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | User | Unreadable
Mapped = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | Err

_TYPES: dict[type, Type] = {
    Ping: Type.PING,
    IndirectPing: Type.INDIRECT_PING,
    Ack: Type.ACK,
    Nack: Type.NACK,
    Suspect: Type.SUSPECT,
    Alive: Type.ALIVE,
    Dead: Type.DEAD,
    Err: Type.ERR,
}
_KINDS: dict[int, type[Message]] = {number: kind for kind, number in _TYPES.items() if kind is not Err}


@attrs.frozen
class _Compressed:
    algorithm: Annotated[int, Number(b"Algo", 8)]
    data: Annotated[bytes, Octets(b"Buf", _MAX_PART)]


def encode(message: Mapped | User) -> bytes:
    """One message, as it stands alone in a packet. Raises ValueError for values that a peer could not read."""
    if isinstance(message, User):
        return bytes([Type.USER]) + message.payload
    return bytes([_TYPES[type(message)]]) + pack(message)


def compound(parts: Iterable[bytes], budget: int) -> list[bytes]:
    """Pack messages, in their order, into as few packets of at most `budget` bytes as that takes.

    A message that is alone, or too long for company, is a packet by itself, even above the budget.
    """
    packets: list[bytes] = []
    batch: list[bytes] = []
    size = 2
    for part in parts:
        too_long = len(part) > _MAX_PART
        if batch and (too_long or len(batch) == _MAX_PARTS or size + 2 + len(part) > budget):
            packets.append(_together(batch))
            batch, size = [], 2
        if too_long:
            packets.append(part)
        else:
            batch.append(part)
            size += 2 + len(part)
    return [*packets, _together(batch)] if batch else packets


def _together(parts: list[bytes]) -> bytes:
    if len(parts) == 1:
        return parts[0]
    lengths = b"".join(len(part).to_bytes(2, "big") for part in parts)
    return bytes([Type.COMPOUND, len(parts)]) + lengths + b"".join(parts)


def with_crc(packet: bytes) -> bytes:
    """The packet under a checksum. Only peers whose maximum protocol is 5 or more are sure to read it."""
    return bytes([Type.CRC]) + zlib.crc32(packet).to_bytes(4, "big") + packet


def parse_untrusted(packet: bytes) -> list[Message]:
    """The messages of a packet that is already decrypted. Raises BadPacket, and nothing else, for whatever bytes.

    The packet counts as a whole where its outer layers are wrong: the checksum, the compression, the lengths of a
    compound. Within a compound, a part that can't be read becomes Unreadable.
    """
    if packet[:1] == bytes([Type.CRC]):
        packet, checksum = packet[5:], packet[1:5]
        if zlib.crc32(packet).to_bytes(4, "big") != checksum:
            raise BadPacket("the packet does not match its checksum")
    unwrapping = _Unwrapping()
    unwrapping.unwrap(packet, 0)
    return unwrapping.messages


class _TooMuch(BadPacket):
    """A bound of the whole packet is passed, so no part of it is worth reading."""


class _Unwrapping:
    """Takes a packet apart, and counts what its parts take together."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._room = MAX_INFLATED

    def unwrap(self, octets: bytes, layers: int) -> None:
        if layers > _MAX_LAYERS:
            raise _TooMuch("the packet has too many layers")
        if not octets:
            raise BadPacket("there is no message where one belongs")
        number = octets[0]
        if number == Type.COMPOUND:
            self._take_apart(octets, layers)
        elif number == Type.COMPRESS:
            self.unwrap(self._inflate(octets), layers + 1)
        elif number == Type.USER:
            self._add(User(octets[1:]))
        elif number in _KINDS:
            self._add(read(_KINDS[number], _body(octets)))
        else:
            raise BadPacket(f"no message of a packet has the type {number}")

    def _take_apart(self, octets: bytes, layers: int) -> None:
        start = 2 + 2 * octets[1] if len(octets) > 1 else 2
        lengths = [int.from_bytes(octets[at : at + 2], "big") for at in range(2, start, 2)]
        if start + sum(lengths) != len(octets):
            raise BadPacket("the parts of a compound do not add up to its length")
        for length in lengths:
            try:
                self.unwrap(octets[start : start + length], layers + 1)
            except _TooMuch:
                raise
            except BadPacket as error:
                self._add(Unreadable(str(error)))
            start += length

    def _inflate(self, octets: bytes) -> bytes:
        compressed = read(_Compressed, _body(octets))
        if compressed.algorithm != _LZW:
            raise BadPacket(f"the packet is compressed by an algorithm that we don't know: {compressed.algorithm}")
        room, self._room = self._room, 0  # and it stays 0 if this fails: one failure costs as much work as all may
        inflated = decompress_untrusted(compressed.data, room)
        self._room = room - len(inflated)
        return inflated

    def _add(self, message: Message) -> None:
        if len(self.messages) == MAX_MESSAGES:
            raise _TooMuch(f"the packet has more than {MAX_MESSAGES} messages")
        self.messages.append(message)


def _body(octets: bytes) -> Body:
    unpacked = unpack_untrusted(octets[1:])
    if unpacked is None:
        raise BadPacket("a message ends too early")
    return unpacked[0]
