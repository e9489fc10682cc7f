"""memberlist over TCP: one message each way, then the connection closes. No sockets: bytes go in, a message comes out.

Around a message may be, from the outside in: the label (from the side that dialled), encryption, compression. We read
all of them and write no compression.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Annotated, TypeVar

import attrs

from acme_manager.ring.envelope import Envelope, sealed_header
from acme_manager.ring.fields import MAX_ITEM, Body, Flag, Number, pack, read, unpack_untrusted
from acme_manager.ring.keyring import OVERHEAD
from acme_manager.ring.lzw import decompress_untrusted
from acme_manager.ring.messages import Ack, Err, Ping, PushNode, Type, User, encode
from acme_manager.ring.types import BadPacket

_T = TypeVar("_T")
_Reading = Generator[None, None, _T]  # pauses where it needs more bytes
_KINDS: dict[int, type[Ping | Ack | Err]] = {Type.PING: Ping, Type.ACK: Ack, Type.ERR: Err}
_COMPRESSED = b"\x82\xa4Algo\x00\xa3Buf"
_STRING_SIZES = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC4: 1, 0xC5: 2, 0xC6: 4}  # how many bytes of length follow in msgpack


@attrs.frozen(kw_only=True)
class Limits:
    """What one stream may take, in bytes unless said otherwise. Checked before anything of that size is kept.

    Every one is as high as memberlist's own, or far above what a thousand nodes need.
    """

    payload: int = 20 << 20  # a user's message, or the user state of an exchange
    plain: int = 24 << 20  # everything under the encryption and compression
    compressed: int = 1 << 20  # takes up to half a second to read: a limit on time more than on memory
    nodes: int = 1 << 16  # entries


@attrs.frozen
class PushPull:
    """All that one side holds. `join`: it asks because it is new. `unreadable`: how many nodes were left out."""

    nodes: Sequence[PushNode]
    state: bytes = attrs.field(default=b"", repr=False)
    join: bool = False
    unreadable: int = 0


StreamMessage = PushPull | User | Ping | Ack | Err


@attrs.frozen
class _PushPullHeader:
    nodes: Annotated[int, Number(b"Nodes")]
    state: Annotated[int, Number(b"UserStateLen")]
    join: Annotated[bool, Flag(b"Join")]


@attrs.frozen
class _UserHeader:
    length: Annotated[int, Number(b"UserMsgLen")]


def encode_stream(message: StreamMessage) -> bytes:
    """A message as it goes over a stream, before its envelope. Raises ValueError for what a peer could not read."""
    if isinstance(message, PushPull):
        header = _PushPullHeader(len(message.nodes), len(message.state), message.join)
        return b"".join([bytes([Type.PUSH_PULL]), pack(header), *map(pack, message.nodes), message.state])
    if isinstance(message, User):
        return bytes([Type.USER]) + pack(_UserHeader(len(message.payload))) + message.payload
    return encode(message)


class StreamReader:
    """Reads the one message that comes from one side of a connection. Raises BadPacket, and nothing else.

    `dialled`: the bytes are from the side that dialled. Once there is a message, `label` is the one
    that was on it, for which the answer has to be sealed.
    """

    def __init__(self, envelope: Envelope, *, dialled: bool, limits: Limits | None = None) -> None:
        self.label = envelope.label
        limits = limits or Limits()
        self._bytes = _Bytes(limits.plain + OVERHEAD + 2 * MAX_ITEM)
        # A function, not a method: a cycle would keep the bytes of a dropped reader until the next collection.
        self._reading = _read(self._bytes, envelope, limits, dialled=dialled)
        self._message: StreamMessage | None = None

    def feed_untrusted(self, octets: bytes) -> StreamMessage | None:
        """Take what has arrived, of any length. The message, once it is complete; what comes after it is left alone."""
        if self._message is None:
            self._bytes.add(octets)
            complete = _advance(self._reading)
            if complete is not None:
                self.label, self._message = complete
        return self._message


class _Bytes:
    """Bytes that have arrived and are not used yet."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._kept = bytearray()

    def add(self, octets: bytes) -> None:
        """More have arrived."""
        self._room -= len(octets)
        if self._room < 0:
            raise BadPacket("a stream is longer than any may be")
        self._kept += octets

    def peek(self) -> _Reading[int]:
        """The next one, which stays where it is."""
        while not self._kept:
            yield
        return self._kept[0]

    def take(self, length: int) -> _Reading[bytes]:
        """So many of them."""
        while len(self._kept) < length:
            yield
        with memoryview(self._kept) as view:
            taken = bytes(view[:length])
        del self._kept[:length]
        return taken

    def number(self, length: int, limit: int = 0xFF) -> _Reading[int]:
        """A number of so many bytes that says how much is to come."""
        return _within(int.from_bytes((yield from self.take(length))), limit)

    def item(self) -> _Reading[Body]:
        """A msgpack map of MAX_ITEM bytes at most."""
        while True:
            with memoryview(self._kept) as view, view[:MAX_ITEM] as window:
                unpacked = unpack_untrusted(window)
            if unpacked is not None:
                body, length = unpacked
                del self._kept[:length]
                return body
            if len(self._kept) >= MAX_ITEM:
                raise BadPacket(f"a part of a stream has more than {MAX_ITEM} bytes")
            yield

    def string(self, limit: int) -> _Reading[bytes]:
        """A msgpack string of any size up to the limit, which is checked before it is all there."""
        mark = yield from self.number(1)
        if 0xA0 <= mark <= 0xBF:
            return (yield from self.take(mark & 0x1F))
        if mark not in _STRING_SIZES:
            raise BadPacket("a part of a stream is no string")
        return (yield from self.take((yield from self.number(_STRING_SIZES[mark], limit))))


def _advance(reading: _Reading[_T]) -> _T | None:
    try:
        next(reading)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    return None


def _read(
    source: _Bytes, envelope: Envelope, limits: Limits, *, dialled: bool
) -> _Reading[tuple[bytes, StreamMessage]]:
    label = envelope.label
    if dialled:
        label = yield from _read_label(source)
        envelope.check_label(label)
    encrypted = (yield from source.peek()) == Type.ENCRYPT
    if envelope.keyring is None:
        if encrypted:
            raise BadPacket("a stream is encrypted, and this node has no key")
        return label, (yield from _read_plain(source, limits))
    if not encrypted:
        raise BadPacket("a stream is not encrypted, and this node has a key")
    yield from source.take(1)
    length = yield from source.number(4, limits.plain + OVERHEAD)
    blob = yield from source.take(length)
    return label, _read_all(envelope.keyring.open_untrusted(blob, sealed_header(length) + label), limits)


def _read_label(source: _Bytes) -> _Reading[bytes]:
    if (yield from source.peek()) != Type.LABEL:
        return b""
    yield from source.take(1)
    label = yield from source.take((yield from source.number(1)))
    if not label:
        raise BadPacket("a stream's label is empty")
    return label


def _read_all(plain: bytes, limits: Limits, *, compressed: bool = False) -> StreamMessage:
    source = _Bytes(len(plain))
    source.add(plain)
    message = _advance(_read_plain(source, limits, compressed=compressed))
    if message is None:
        raise BadPacket("a message in a stream ends too early")
    return message


def _read_plain(source: _Bytes, limits: Limits, *, compressed: bool = False) -> _Reading[StreamMessage]:
    kind = yield from source.number(1)
    if kind == Type.COMPRESS and not compressed:
        data = yield from _read_compressed(source, limits)
        return _read_all(decompress_untrusted(data, limits.plain), limits, compressed=True)
    if kind == Type.PUSH_PULL:
        return (yield from _read_push_pull(source, limits))
    if kind == Type.USER:
        length = read(_UserHeader, (yield from source.item())).length
        return User((yield from source.take(_within(length, limits.payload))))
    if kind in _KINDS:
        return read(_KINDS[kind], (yield from source.item()))
    raise BadPacket(f"no message of a stream has the type {kind}")


def _read_push_pull(source: _Bytes, limits: Limits) -> _Reading[StreamMessage]:
    header = read(_PushPullHeader, (yield from source.item()))
    _within(header.nodes, limits.nodes)
    _within(header.state, limits.payload)
    nodes = []
    for _ in range(header.nodes):
        body = yield from source.item()
        with suppress(BadPacket):  # one node's odd name must not keep us from the others
            nodes.append(read(PushNode, body))
    state = yield from source.take(header.state)
    return PushPull(nodes, state, header.join, unreadable=header.nodes - len(nodes))


def _read_compressed(source: _Bytes, limits: Limits) -> _Reading[bytes]:
    """The one map whose size is not small, so it is read piece by piece, as every peer writes it: {Algo: 0, Buf: …}."""
    if (yield from source.take(len(_COMPRESSED))) != _COMPRESSED:
        raise BadPacket("a stream is compressed in a way that we don't know")
    return (yield from source.string(limits.compressed))


def _within(number: int, limit: int) -> int:
    if number > limit:
        raise BadPacket(f"a part of a stream is {number} long, where {limit} is allowed")
    return number
