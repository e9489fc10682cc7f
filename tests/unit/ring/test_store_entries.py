"""Entries on the wire: what is written is read back, what is no entry is refused, and packets keep to their budget."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.ring.entries import MAX_KEY, MAX_MESSAGE, MAX_VALUE, Entry, Stamp, encode_entries, parse_untrusted
from acme_manager.ring.types import BadPacket

_texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_stamps = st.builds(Stamp, st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1))
_entries = st.builds(Entry, _texts, _stamps, st.none() | st.binary(max_size=300))


@given(st.lists(_entries, max_size=30), st.integers(0, 1400))
def test_packets_keep_to_their_budget_and_hold_every_entry_that_fits(entries: list[Entry], budget: int) -> None:
    packets = encode_entries(entries, budget)
    assert all(len(packet) <= budget for packet in packets)
    read = [entry for packet in packets for entry in parse_untrusted(packet)]
    assert read == [entry for entry in entries if entry in read]
    assert all(len(msgspec.msgpack.encode(entry)) + 5 > budget for entry in entries if entry not in read)


@given(_entries)
def test_the_size_of_an_entry_is_never_less_than_what_it_takes(entry: Entry) -> None:
    assert len(msgspec.msgpack.encode(entry)) <= entry.size


def test_a_batch_larger_than_a_small_array_is_read_back() -> None:
    entries = [Entry(f"certificate/{number}", Stamp(1, number), b"") for number in range(40)]
    assert [entry for packet in encode_entries(entries, 1400) for entry in parse_untrusted(packet)] == entries


def test_a_deletion_is_told_from_an_empty_value() -> None:
    entries = [Entry("certificate/a", Stamp(1, 2), None), Entry("certificate/b", Stamp(1, 3), b"")]
    assert [entry.value for entry in parse_untrusted(encode_entries(entries, 200)[0])] == [None, b""]


def test_an_entry_of_a_later_version_may_have_more_fields() -> None:
    body = msgspec.msgpack.encode([["certificate/a", [1, 2, "more"], b"x", "more"]])
    assert parse_untrusted(body) == [Entry("certificate/a", Stamp(1, 2), b"x")]


def _body(key: object = "certificate/a", stamp: object = (1, 2), value: object = b"x") -> bytes:
    return msgspec.msgpack.encode([[key, stamp, value]])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        _body()[:-1],
        _body() + b"\x00",
        b"\x91" * 5000,
        b"\xdd\xff\xff\xff\xff",
        msgspec.msgpack.encode({"key": 1}),
        msgspec.msgpack.encode([["certificate/a", [1, 2]]]),
        _body(key=""),
        _body(key=b"certificate/a"),
        _body(key="k" * (MAX_KEY + 1)),
        _body(key="é" * (MAX_KEY // 2 + 1)),
        _body(stamp=(-1, 2)),
        _body(stamp=(1, 2**53)),
        _body(stamp=(1,)),
        _body(stamp=("1", 2)),
        _body(value="text"),
        _body(value=b"x" * (MAX_VALUE + 1)),
        b"\x91\x93\xa3\xed\xa0\x80\x92\x01\x02\xc0",
        b"\x90" + b" " * MAX_MESSAGE,
    ],
)
def test_what_is_not_a_list_of_entries_is_refused(body: bytes) -> None:
    with pytest.raises(BadPacket, match="not entries of the shared map"):
        parse_untrusted(body)


def test_the_largest_entry_that_may_be_passes() -> None:
    largest = Entry("é" * (MAX_KEY // 2), Stamp(2**53 - 1, 2**53 - 1), b"x" * MAX_VALUE)
    assert parse_untrusted(encode_entries([largest], MAX_MESSAGE)[0]) == [largest]


@pytest.mark.parametrize(
    ("key", "value"), [("", b""), ("k" * 513, b""), ("é" * 257, None), ("\ud800", b""), ("k", b"x" * 65537)]
)
def test_no_entry_can_be_made_that_others_would_refuse(key: str, value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"bytes|surrogates"):
        Entry(key, Stamp(1, 1), value)


@given(st.lists(_entries, max_size=3), st.data())
def test_a_damaged_packet_is_read_or_refused_and_nothing_else(entries: list[Entry], data: st.DataObject) -> None:
    body = bytearray(msgspec.msgpack.encode(entries))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    with suppress(BadPacket):
        parse_untrusted(bytes(body))
