"""A summary of a set of entries that costs the same to keep up to date, whatever the size of the set.

Keys fall into 256 buckets. A bucket's digest is the sum, modulo 2^64, of one 64-bit number per entry, so that an entry
is taken out as it was put in. Equal digests mean equal entries, but for a chance of one in 2^64: these sums guard
against nothing that an attacker could do, as only members with the ring's key get here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from hashlib import blake2b

from acme_manager.ring.entries import Entry, Stamp

BUCKETS = 256
SIZE = BUCKETS * 8  # bytes

_sums = struct.Struct(f">{BUCKETS}Q")
_stamp = struct.Struct(">QQ")


def bucket_of(key: str) -> int:
    """Which bucket a key belongs to, on every node."""
    return zlib.crc32(key.encode()) % BUCKETS


def fingerprint(entry: Entry) -> int:
    """64 bits that differ for any other key, stamp or value."""
    stamp = _stamp.pack(entry.stamp.term, entry.stamp.sequence)
    value = b"-" if entry.value is None else b"+%d:%b" % (len(entry.value), entry.value)
    return int.from_bytes(blake2b(stamp + value + entry.key.encode(), digest_size=8).digest())


class Digest:
    """The sums of all buckets, in O(1) per change."""

    def __init__(self) -> None:
        self._sums = [0] * BUCKETS

    def add(self, entry: Entry) -> None:
        """An entry is there from now on."""
        self._change(entry.key, fingerprint(entry))

    def discard(self, entry: Entry) -> None:
        """An entry that was added is no longer there."""
        self._change(entry.key, -fingerprint(entry))

    def _change(self, key: str, by: int) -> None:
        bucket = bucket_of(key)
        self._sums[bucket] = (self._sums[bucket] + by) % 2**64

    def root(self, horizon: Stamp) -> bytes:
        """Eight bytes for everything: the entries, and up to where deletions are forgotten (see store.py)."""
        state = blake2b(self.buckets(), digest_size=8)
        state.update(_stamp.pack(horizon.term, horizon.sequence))
        return state.digest()

    def buckets(self) -> bytes:
        """SIZE bytes: the sum of each bucket, in big-endian order."""
        return _sums.pack(*self._sums)


def differing(mine: bytes, theirs: bytes) -> Iterator[tuple[int, bool]]:
    """The buckets in which two results of `buckets` differ, and whether the second has nothing in that bucket."""
    for bucket, (one, other) in enumerate(zip(_sums.unpack(mine), _sums.unpack(theirs), strict=True)):
        if one != other:
            yield bucket, other == 0
