"""Reading memberlist's compression: LZW as Go's compress/lzw writes it, least significant bit first, 8-bit literals.

Codes are 9 to 12 bits wide. 256 empties the table, 257 ends the data, the first free code is 258. The width grows when
the *reader's* next code reaches the next power of two, and a full table stays as it is until it is emptied.
"""

from __future__ import annotations

from acme_manager.ring.types import BadPacket

_CLEAR, _END, _FIRST = 256, 257, 258
_MIN_WIDTH, _MAX_WIDTH = 9, 12
_LITERALS = [bytes([octet]) for octet in range(256)] + [b"", b""]


def decompress_untrusted(data: bytes, limit: int) -> bytes:
    """What was compressed. Raises BadPacket for other than LZW, for a missing end and for more than `limit` bytes.

    Memory: the output, and up to 8 MB for the table. Time: about 0.2 s per megabyte of `data`.
    """
    output: list[bytes] = []
    table = _LITERALS.copy()
    previous = b""  # nothing, as after a clear: the next code must be a literal and makes no entry
    width = _MIN_WIDTH
    room, window, bits = limit, 0, 0
    for octet in data:
        window |= octet << bits
        bits += 8
        if bits < width:
            continue
        code = window & ((1 << width) - 1)
        window >>= width
        bits -= width
        if code < len(table) and code not in (_CLEAR, _END):
            entry = table[code]
        elif code == len(table) and previous:
            entry = previous + previous[:1]
        elif code == _CLEAR:
            table, previous, width = _LITERALS.copy(), b"", _MIN_WIDTH
            continue
        elif code == _END:
            return b"".join(output)
        else:
            raise BadPacket("compressed data refers to what it has not said yet")
        room -= len(entry)
        if room < 0:
            raise BadPacket(f"compressed data is longer than {limit} bytes")
        output.append(entry)
        if previous and len(table) < 1 << _MAX_WIDTH:
            table.append(previous + entry[:1])
        previous = entry
        if len(table) >= (1 << width) and width < _MAX_WIDTH:
            width += 1
    raise BadPacket("compressed data ends too early")
