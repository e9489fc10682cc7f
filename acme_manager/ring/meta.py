"""What a member says about itself in its membership record: that it is one of us, and where its API listens.

At most 512 bytes: the byte 0xAC, then a msgpack map. Other programs in the same gossip begin theirs differently: 0xFF
is serf's, 0x01 that of newer rings of the Go original.
"""

from __future__ import annotations

import msgspec

_MARK = b"\xac"
LIMIT = 512


class Meta(msgspec.Struct, frozen=True, omit_defaults=True):
    """`v` is the version of what we say to each other besides memberlist's own messages."""

    v: int = 1
    api: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Meta)


def encode_meta(api_url: str) -> bytes:
    """Our own record. Raises ValueError for a URL that leaves no room."""
    meta = _MARK + _encoder.encode({"v": 1, "api": api_url})
    if len(meta) > LIMIT:
        raise ValueError(f"the URL of the API is too long to be told to the others: {len(api_url)} bytes")
    return meta


def parse_untrusted(meta: bytes) -> Meta | None:
    """Another member's record; None for one that is not of our kind."""
    if not meta.startswith(_MARK):
        return None
    try:
        return _decoder.decode(meta[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
