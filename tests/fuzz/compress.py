"""What we read and never write: compressed packets and streams, good ones and nasty ones."""

from __future__ import annotations

from collections.abc import Iterable

import msgpack

from acme_manager.ring.messages import Type

CLEAR, END = 256, 257


class CodeWriter:
    """Writes LZW codes, and follows the width as a reader would. Nothing stops it from writing nonsense."""

    def __init__(self) -> None:
        self.octets = bytearray()
        self._window = self._bits = 0
        self._restart()

    def _restart(self) -> None:
        self.width, self.high = 9, 257

    def write(self, code: int) -> None:
        self._window |= code << self._bits
        self._bits += self.width
        while self._bits >= 8:
            self.octets.append(self._window & 0xFF)
            self._window >>= 8
            self._bits -= 8
        if code == CLEAR:
            self._restart()
        elif self.high < 4095:
            self.high += 1
            if self.high == 1 << self.width:
                self.width += 1

    def finish(self) -> bytes:
        if self._bits:
            self.octets.append(self._window & 0xFF)
        return bytes(self.octets)


def codes(values: Iterable[int]) -> bytes:
    """These codes, in the bits that they take."""
    writer = CodeWriter()
    for value in values:
        writer.write(value)
    return writer.finish()


def lzw(data: bytes, *, clear_when_full: bool = True) -> bytes:
    """Compress as Go does. Without `clear_when_full`, go on with the full table, as GIF encoders do."""
    writer = CodeWriter()
    writer.write(CLEAR)
    table: dict[tuple[int, int], int] = {}
    current: int | None = None
    for octet in data:
        if current is None:
            current = octet
        elif (current, octet) in table:
            current = table[current, octet]
        else:
            room = writer.high < 4095
            writer.write(current)
            if room:
                table[current, octet] = writer.high
            if writer.high == 4095 and clear_when_full:
                writer.write(CLEAR)
                table.clear()
            current = octet
    if current is not None:
        writer.write(current)
    writer.write(END)
    return writer.finish()


def compressed(octets: bytes, algorithm: int = 0) -> bytes:
    """The message or packet, compressed as a peer would."""
    return wrapped(lzw(octets), algorithm)


def wrapped(data: bytes, algorithm: int = 0) -> bytes:
    """A compressed message that holds this data, which may be anything."""
    body: bytes = msgpack.packb({"Algo": algorithm, "Buf": data}, use_bin_type=False)
    return bytes([Type.COMPRESS]) + body


def bomb(octets: int) -> bytes:
    """LZW data that grows to at least so many zeros, in as few codes as there can be."""
    values, length = [CLEAR, 0], 1
    while length < octets and len(values) < 3800:
        values.append(256 + len(values))
        length += len(values) - 1
    rest = max(0, octets - length) // (len(values) - 1) + 1
    return codes([*values, *[254 + len(values)] * rest, END])
