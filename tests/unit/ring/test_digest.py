"""The digest: equal for equal entries, different for any other, and the same on every node."""

from __future__ import annotations

import pytest

from acme_manager.ring.digest import SIZE, Digest, bucket_of, differing
from acme_manager.ring.entries import ZERO, Entry, Stamp

_ENTRY = Entry("certificate/a", Stamp(1, 2), b"value")


def _digest(*entries: Entry) -> Digest:
    digest = Digest()
    for entry in entries:
        digest.add(entry)
    return digest


def test_the_order_of_changes_does_not_matter() -> None:
    others = [Entry(f"token/{number}", Stamp(1, number), b"") for number in range(600)]
    digest = _digest(*others[::-1], _ENTRY)
    for entry in others:
        digest.discard(entry)
    assert digest.buckets() == _digest(_ENTRY).buckets()
    assert digest.root(ZERO) == _digest(_ENTRY).root(ZERO)


@pytest.mark.parametrize(
    "other",
    [
        Entry("certificate/b", Stamp(1, 2), b"value"),
        Entry("certificate/a", Stamp(1, 3), b"value"),
        Entry("certificate/a", Stamp(2, 1), b"value"),
        Entry("certificate/a", Stamp(1, 2), b"other"),
        Entry("certificate/a", Stamp(1, 2), b""),
        Entry("certificate/a", Stamp(1, 2), None),
    ],
)
def test_any_other_entry_has_another_digest(other: Entry) -> None:
    assert _digest(other).root(ZERO) != _digest(_ENTRY).root(ZERO)


def test_another_horizon_makes_another_root() -> None:
    assert _digest(_ENTRY).root(ZERO) != _digest(_ENTRY).root(Stamp(0, 1))


def test_the_difference_names_the_bucket_and_says_who_has_nothing_there() -> None:
    full, empty = _digest(_ENTRY).buckets(), _digest().buckets()
    assert len(full) == SIZE
    assert list(differing(full, full)) == []
    assert list(differing(full, empty)) == [(bucket_of(_ENTRY.key), True)]
    assert list(differing(empty, full)) == [(bucket_of(_ENTRY.key), False)]


def test_the_digest_is_part_of_the_protocol_between_versions() -> None:
    assert bucket_of("certificate/a") == 133
    assert _digest(_ENTRY).root(ZERO).hex() == "b06016142ac14b58"


def test_keys_spread_over_the_buckets() -> None:
    counts = [0] * 256
    for number in range(20_000):
        counts[bucket_of(f"certificate/letsencrypt/team/host-{number:05}.example.com")] += 1
    assert max(counts) < 3 * 20_000 / 256
    assert min(counts) > 0
