"""Reading memberlist's compression: LZW as Go's compress/lzw writes it, least significant bit first, 8-bit literals.

Codes are 9 to 12 bits wide. 256 empties the table, 257 ends the data, the first free code is 258. The width grows when
the *reader's* next code reaches the next power of two, and a full table stays as it is until it is emptied.
"""

from __future__ import annotations

from acme_manager.ring.types import BadPacket

_END = 257  # and 256 is the clear
_MIN_WIDTH, _MAX_WIDTH = 9, 12
_LITERALS = [bytes([octet]) for octet in range(256)] + [b"", b""]  # no other entry is empty
_STRIDE = 6  # bytes taken at a time: the window stays a small number


def decompress_untrusted(data: bytes, limit: int) -> bytes:
    """What was compressed. Raises BadPacket for other than LZW, for a missing end and for more than `limit` bytes.

    Memory: the output twice, and up to 8 MB for the table. Time: up to 0.6 s per megabyte of `data`.
    """
    output: list[bytes] = []
    table, previous, width = _LITERALS.copy(), b"", _MIN_WIDTH
    window = bits = length = 0
    for at in range(0, len(data), _STRIDE):
        stride = data[at : at + _STRIDE]
        window |= int.from_bytes(stride, "little") << bits
        bits += 8 * len(stride)
        while bits >= width:
            code = window & ((1 << width) - 1)
            window >>= width
            bits -= width

            if code < len(table):
                entry = table[code]
            elif code == len(table) and previous:
                entry = previous + previous[:1]
            else:
                raise BadPacket("compressed data refers to what it has not said yet")
            if not entry:
                if code == _END:
                    return b"".join(output)
                table, previous, width = _LITERALS.copy(), b"", _MIN_WIDTH
                continue

            length += len(entry)
            if length > limit:
                raise BadPacket(f"compressed data is longer than {limit} bytes")
            output.append(entry)
            if previous and len(table) < 1 << _MAX_WIDTH:
                table.append(previous + entry[:1])
                if len(table) == 1 << width < 1 << _MAX_WIDTH:
                    width += 1
            previous = entry
    raise BadPacket("compressed data ends too early")
