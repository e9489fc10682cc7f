from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest

from acme_manager.ring.messages import (
    MAX_INFLATED,
    MAX_MESSAGES,
    Ack,
    Alive,
    Dead,
    IndirectPing,
    Nack,
    Ping,
    Suspect,
    Type,
    Unreadable,
    User,
    compound,
    encode,
    parse_untrusted,
    with_crc,
)
from acme_manager.ring.types import BadPacket
from tests.data.vectors import PACKETS, Vector
from tests.fuzz.compress import bomb, compressed, wrapped

VSN = bytes([1, 5, 2, 0, 0, 0])
ALIVE: dict[str, Any] = {"Incarnation": 1, "Node": "n", "Addr": b"\x7f\0\0\1", "Port": 7946, "Meta": b"", "Vsn": VSN}


def _raw(kind: Type, body: object, *, old: bool = True) -> bytes:
    packed: bytes = msgpack.packb(body, use_bin_type=not old)
    return bytes([kind]) + packed


def _alive(**fields: object) -> Alive:
    (message,) = parse_untrusted(_raw(Type.ALIVE, ALIVE | fields))
    assert isinstance(message, Alive)
    return message


def _by_hand(parts: Sequence[bytes]) -> bytes:
    lengths = b"".join(len(part).to_bytes(2) for part in parts)
    return bytes([Type.COMPOUND, len(parts)]) + lengths + b"".join(parts)


# --- what peers sent ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", PACKETS, ids=lambda vector: vector.name)
def test_a_packet_from_a_live_peer_says_what_it_said(vector: Vector) -> None:
    assert parse_untrusted(vector.envelope.unwrap_packet_untrusted(vector.octets)) == vector.messages


@pytest.mark.parametrize("vector", PACKETS, ids=lambda vector: vector.name)
def test_we_write_the_same_bytes_as_a_live_peer(vector: Vector) -> None:
    (ours,) = compound([encode(message) for message in vector.messages], 1400)
    theirs = vector.envelope.unwrap_packet_untrusted(vector.octets)
    assert theirs in (ours, with_crc(ours))


# --- one message -------------------------------------------------------------------------------------------------


def test_unknown_fields_are_skipped_and_missing_ones_are_zero() -> None:
    assert parse_untrusted(_raw(Type.ACK, {"SeqNo": 5, "New": {"a": [1, {}]}, 7: None})) == [Ack(sequence=5)]
    assert parse_untrusted(_raw(Type.PING, {})) == [Ping(sequence=0)]


def test_bytes_after_a_message_are_ignored_as_peers_do() -> None:
    assert parse_untrusted(encode(Nack(sequence=5)) + b"rest") == [Nack(sequence=5)]


def test_new_kinds_of_strings_nil_and_lists_of_numbers_are_read_too() -> None:
    (message,) = parse_untrusted(_raw(Type.ALIVE, ALIVE | {"Meta": b"m"}, old=False))
    assert message == _alive(Meta=b"m")
    assert _alive(Meta=None) == _alive(Meta=b"")
    assert _alive(Vsn=list(VSN)).vsn == VSN


@pytest.mark.parametrize(
    "packed", ["07", "cc07", "cd0007", "ce00000007", "cf0000000000000007", "d007", "d10007", "d200000007"]
)
def test_integers_of_any_width_are_read(packed: str) -> None:
    assert parse_untrusted(bytes.fromhex("0b81a5") + b"SeqNo" + bytes.fromhex(packed)) == [Nack(sequence=7)]


@pytest.mark.parametrize("value", [-1, 2**32, 1.0, "1", True, [], {}])
def test_a_sequence_that_is_no_32_bit_number_is_refused(value: object) -> None:
    with pytest.raises(BadPacket, match="SeqNo"):
        parse_untrusted(_raw(Type.ACK, {"SeqNo": value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Incarnation", 2**32),
        ("Port", 65536),
        ("Node", ""),
        ("Node", b"\xff"),
        ("Node", "n" * 256),
        ("Node", 7),
        ("Addr", b""),
        ("Addr", b"\x7f\0\0"),
        ("Addr", [256, 0, 0, 1]),
        ("Meta", b"m" * 513),
        ("Meta", {}),
        ("Vsn", None),
        ("Vsn", VSN[:5]),
    ],
)
def test_a_node_with_an_impossible_field_is_refused_by_the_fields_name(field: str, value: object) -> None:
    with pytest.raises(BadPacket, match=field):
        _alive(**{field: value})


def test_a_flag_may_be_a_number() -> None:
    fields = {"SeqNo": 1, "Target": b"\x7f\0\0\1", "Port": 0, "Node": "n"}
    expected = IndirectPing(sequence=1, target=("127.0.0.1", 0), node="n", nack=True)
    assert parse_untrusted(_raw(Type.INDIRECT_PING, fields | {"Nack": 1})) == [expected]
    with pytest.raises(BadPacket, match="Nack"):
        parse_untrusted(_raw(Type.INDIRECT_PING, fields | {"Nack": 2}))


def test_addresses_are_ipv4_also_when_dressed_as_ipv6_or_they_are_ipv6() -> None:
    assert _alive(Addr=b"\0" * 10 + b"\xff\xff\x0a\0\0\1").address == ("10.0.0.1", 7946)
    ipv6 = _alive(Addr=b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\1")
    assert ipv6.address == ("2001:db8::1", 7946)
    assert parse_untrusted(encode(ipv6)) == [ipv6]


def test_an_answer_goes_elsewhere_only_if_address_and_port_are_both_given() -> None:
    for fields in ({"SourceAddr": b"\x0a\0\0\1"}, {"SourcePort": 7946}):
        assert parse_untrusted(_raw(Type.PING, {"SeqNo": 1} | fields)) == [Ping(sequence=1)]


def test_six_versions_are_written_or_nothing_and_longer_ones_are_cut() -> None:
    for vsn in (b"", VSN[:5], VSN + b"\0"):
        with pytest.raises(ValueError, match="where 6 belong"):
            encode(Alive(incarnation=1, node="n", address=("127.0.0.1", 1), vsn=vsn))
    assert _alive(Vsn=VSN + b"\7").vsn == VSN


@pytest.mark.parametrize(
    "message",
    [
        Ack(sequence=2**32),
        Nack(sequence=-1),
        Suspect(incarnation=1, node="", by="n"),
        Dead(incarnation=1, node="n" * 256, by="n"),
        Alive(incarnation=1, node="n", address=("localhost", 1), vsn=VSN),
        Alive(incarnation=1, node="n", address=("127.0.0.1", 65536), vsn=VSN),
        Alive(incarnation=1, node="n", address=("127.0.0.1", 1), meta=b"m" * 513, vsn=VSN),
    ],
)
def test_what_a_peer_could_not_read_is_not_written(message: Alive | Ack | Nack | Suspect | Dead) -> None:
    with pytest.raises(ValueError, match=r"bytes|bits|address"):
        encode(message)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes([Type.ACK]),
        bytes([Type.ACK, 0xC1]),
        bytes([Type.ACK, 0x81]),
        bytes([Type.ACK, 0x93, 1, 2, 3]),
        bytes([Type.ACK, 0x81, 0x91, 1, 1]),  # a list as a key
        bytes([Type.ACK, 0x81, 0xD6, 0xFF, 1]),  # a time that is cut off
        bytes([Type.ACK]) + b"\x91" * 60_000,
        bytes([Type.ACK]) + b"\xdd\xff\xff\xff\xff",
    ],
)
def test_what_is_no_msgpack_map_is_refused(packet: bytes) -> None:
    with pytest.raises(BadPacket, match=r"msgpack|too early|no message"):
        parse_untrusted(packet)


@pytest.mark.parametrize("kind", [Type.PUSH_PULL, Type.ENCRYPT, Type.CRC, Type.ERR, 14, 99, Type.LABEL, 255])
def test_types_that_are_unknown_or_belong_elsewhere_are_refused(kind: int) -> None:
    message = bytes([kind, 0x80])
    first, second = parse_untrusted(_by_hand([message, b"\x08"]))
    assert isinstance(first, Unreadable)
    assert str(kind) in first.reason
    assert second == User(b"")
    with pytest.raises(BadPacket, match=str(kind)):
        parse_untrusted(compressed(message))


def test_lists_that_announce_more_than_they_have_take_no_memory() -> None:
    nested = bytes([Type.ACK]) + b"\xdd\x00\x00\xff\xff" * 500
    tracemalloc.start()
    try:
        with pytest.raises(BadPacket):
            parse_untrusted(nested)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


# --- packets -----------------------------------------------------------------------------------------------------


def test_one_message_is_a_packet_by_itself() -> None:
    assert compound([b"a"], 1400) == [b"a"]
    assert compound([], 1400) == []


def test_a_packet_has_at_most_255_parts() -> None:
    packets = compound([b"\x08%d" % number for number in range(600)], 1 << 20)
    assert [packet[1] for packet in packets] == [255, 255, 90]
    assert [message for packet in packets for message in parse_untrusted(packet)] == [
        User(b"%d" % number) for number in range(600)
    ]


def test_packets_fill_their_budget_exactly() -> None:
    parts = [b"\x08" + bytes(97)] * 3  # 2 + 3 * (2 + 98) = 302
    assert [len(packet) for packet in compound(parts, 302)] == [302]
    assert [len(packet) for packet in compound(parts, 301)] == [202, 98]


def test_a_message_above_the_budget_or_above_16_bits_travels_alone() -> None:
    small, large, huge = b"\x08s", b"\x08" + bytes(2000), b"\x08" + bytes(70_000)
    assert compound([small, small, large, small], 1400) == [*compound([small, small], 1400), large, small]
    assert compound([small, huge, small], 1 << 20) == [small, huge, small]
    limit = b"\x08" + bytes(65_534)
    assert parse_untrusted(compound([limit, small], 1 << 20)[0]) == [User(bytes(65_534)), User(b"s")]


def test_a_checksum_is_checked_and_belongs_outermost() -> None:
    packet = with_crc(encode(Nack(sequence=1)))
    assert packet[1:5] == zlib.crc32(packet[5:]).to_bytes(4)
    assert parse_untrusted(packet) == [Nack(sequence=1)]
    for bad in (packet[:-1] + b"\2", packet[:4], b"\x0c"):
        with pytest.raises(BadPacket, match="checksum"):
            parse_untrusted(bad)
    with pytest.raises(BadPacket, match="12"):
        parse_untrusted(with_crc(packet))


def test_compression_may_be_around_a_compound_inside_one_and_under_a_checksum() -> None:
    ack, nack = Ack(sequence=1, payload=b"p"), Nack(sequence=2)
    pair = _by_hand([encode(ack), encode(nack)])
    assert parse_untrusted(with_crc(compressed(pair))) == [ack, nack]
    assert parse_untrusted(_by_hand([compressed(encode(ack)), pair])) == [ack, ack, nack]


def test_an_algorithm_that_we_do_not_know_is_named() -> None:
    with pytest.raises(BadPacket, match="algorithm that we don't know: 1"):
        parse_untrusted(compressed(b"\x08", algorithm=1))


def test_a_compound_whose_lengths_do_not_add_up_is_refused_as_a_whole() -> None:
    good = _by_hand([encode(Nack(sequence=1))] * 3)
    for bad in (good[:-1], good + b"\0", good[:3], b"\x07", b"\x07\x03"):
        with pytest.raises(BadPacket, match="add up"):
            parse_untrusted(bad)


def test_a_bad_part_does_not_cost_its_neighbours() -> None:
    ack = encode(Ack(sequence=1))
    odd = _raw(Type.ALIVE, ALIVE | {"Node": b"\xff"})
    first, second, third, last = parse_untrusted(_by_hand([ack, odd, b"", ack]))
    assert first == last == Ack(sequence=1)
    assert second == Unreadable("Node is no UTF-8 text")
    assert isinstance(third, Unreadable)


def test_layers_are_bounded() -> None:
    packet = encode(Nack(sequence=1))
    for _ in range(4):
        packet = _by_hand([packet])
    assert parse_untrusted(packet) == [Nack(sequence=1)]
    for deeper in (_by_hand([packet]), compressed(packet)):
        with pytest.raises(BadPacket, match="too many layers"):
            parse_untrusted(deeper)


def test_messages_are_bounded() -> None:
    parts = [_by_hand([b"\x08"] * 255)] * 5
    assert len(parse_untrusted(_by_hand([*parts[:4], b"\x08", b"\x08", b"\x08", b"\x08"]))) == MAX_MESSAGES
    for excess in (_by_hand(parts), _by_hand([_by_hand([b""] * 255)] * 5)):
        with pytest.raises(BadPacket, match="more than 1024 messages"):
            parse_untrusted(excess)


def test_all_that_is_compressed_in_a_packet_shares_one_bound() -> None:
    half = compressed(b"\x08" + bytes(MAX_INFLATED // 2))
    assert len(parse_untrusted(half)) == 1
    messages = parse_untrusted(_by_hand([half, half, half]))
    assert [type(message) for message in messages] == [User, Unreadable, Unreadable]


def test_after_a_part_that_can_not_be_decompressed_no_other_is() -> None:
    messages = parse_untrusted(_by_hand([wrapped(bomb(2 * MAX_INFLATED)), compressed(b"\x08u"), b"\x08v"]))
    assert [type(message) for message in messages] == [Unreadable, Unreadable, User]


def test_neither_contents_nor_payloads_are_shown() -> None:
    assert "secret" not in repr([User(b"secret"), Ack(sequence=1, payload=b"secret")])
