from __future__ import annotations

import time
import tracemalloc

import msgpack
import pytest

from acme_manager.ring.envelope import Envelope
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.messages import Ack, Err, Ping, PushNode, Type, User, encode
from acme_manager.ring.streams import Limits, PushPull, StreamMessage, StreamReader, encode_stream
from acme_manager.ring.types import BadPacket, Status
from tests.data.vectors import STREAMS, Vector
from tests.fuzz.compress import bomb, compressed, wrapped

VSN = bytes([1, 5, 2, 0, 0, 0])
PLAIN = Envelope()
SEALED = Envelope(label=b"prod", keyring=Keyring(bytes(32)))
MEGABYTE = 1 << 20


def _node(number: int) -> PushNode:
    address = (f"10.0.{number // 256}.{number % 256}", 7946)
    return PushNode(incarnation=number, name=f"n{number}", address=address, vsn=VSN, status=Status(number % 4))


MESSAGES: list[StreamMessage] = [
    PushPull([]),
    PushPull([_node(number) for number in range(300)], b"state" * 1000, join=True),
    User(b""),
    User(bytes(100_000)),
    Ping(sequence=1, node="n1"),
    Ack(sequence=1),
    Err(error="no"),
]


def _read(octets: bytes, envelope: Envelope = PLAIN, *, dialled: bool = True) -> StreamMessage | None:
    return StreamReader(envelope, dialled=dialled).feed_untrusted(octets)


def _packed(kind: Type, *parts: object) -> bytes:
    packed = (part if isinstance(part, bytes) else msgpack.packb(part, use_bin_type=False) for part in parts)
    return bytes([kind]) + b"".join(packed)


# --- what peers sent ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", STREAMS, ids=lambda vector: vector.name)
@pytest.mark.parametrize("size", [1, 7, 65_536])
def test_a_stream_from_a_live_peer_says_what_it_said_however_it_is_cut(vector: Vector, size: int) -> None:
    reader = StreamReader(vector.envelope, dialled=False)
    cuts = [vector.octets[at : at + size] for at in range(0, len(vector.octets), size)]
    answers = [reader.feed_untrusted(cut) for cut in cuts]
    assert answers == [*[None] * (len(cuts) - 1), *vector.messages]


@pytest.mark.parametrize("vector", STREAMS, ids=lambda vector: vector.name)
def test_we_write_the_same_bytes_as_a_live_peer(vector: Vector) -> None:
    theirs, keyring = vector.octets, vector.envelope.keyring
    if keyring is not None:
        theirs = keyring.open_untrusted(theirs[5:], theirs[:5] + vector.envelope.label)
    ours = encode_stream(vector.messages[0])
    assert theirs in (ours, compressed(ours))


# --- there and back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("envelope", [PLAIN, Envelope(label=b"prod"), SEALED], ids=["plain", "label", "sealed"])
def test_questions_and_answers_come_through(message: StreamMessage, envelope: Envelope) -> None:
    plain = encode_stream(message)
    server = StreamReader(envelope, dialled=True)
    assert server.feed_untrusted(envelope.wrap_stream(plain)) == message
    answer = envelope.wrap_reply(plain, server.label)
    assert _read(answer, envelope, dialled=False) == message


def test_what_comes_after_the_message_is_left_alone() -> None:
    reader = StreamReader(PLAIN, dialled=True)
    assert reader.feed_untrusted(encode(Ack(sequence=1)) + b"rest") == Ack(sequence=1)
    assert reader.feed_untrusted(b"more") == Ack(sequence=1)


def test_an_incomplete_message_is_none_yet() -> None:
    octets = SEALED.wrap_stream(encode_stream(MESSAGES[1]))
    reader = StreamReader(SEALED, dialled=True)
    assert reader.feed_untrusted(octets[:-1]) is None
    assert reader.feed_untrusted(b"") is None
    assert reader.feed_untrusted(octets[-1:]) == MESSAGES[1]


def test_compression_is_read_plain_and_under_encryption() -> None:
    for envelope in (PLAIN, SEALED):
        assert _read(envelope.wrap_stream(compressed(encode_stream(MESSAGES[1]))), envelope) == MESSAGES[1]


def test_a_node_that_can_not_be_read_is_left_out_and_counted() -> None:
    good, header = _node(1), {"Nodes": 2, "UserStateLen": 1, "Join": False}
    odd = {"Name": b"\xff", "Addr": b"\x7f\0\0\1", "Port": 1, "Vsn": VSN}
    nodes = encode_stream(PushPull([good]))
    octets = _packed(Type.PUSH_PULL, header, odd, nodes[nodes.index(b"\x87") :], b"s")
    assert _read(octets) == PushPull([good], b"s", unreadable=1)


# --- label and keys ----------------------------------------------------------------------------------------------


def test_another_label_or_none_is_refused() -> None:
    octets = encode_stream(Ack(sequence=1))
    for theirs, ours in ((b"test", b"prod"), (b"", b"prod"), (b"test", b"")):
        with pytest.raises(BadPacket, match="label"):
            _read(Envelope(label=theirs).wrap_stream(octets), Envelope(label=ours))
    with pytest.raises(BadPacket, match="empty"):
        _read(b"\xf4\0" + octets)


def test_the_answer_is_sealed_for_the_label_of_the_question_while_labels_change() -> None:
    old = Envelope(label=b"old", keyring=SEALED.keyring)
    new = Envelope(label=b"new", keyring=SEALED.keyring, any_label=True)
    server = StreamReader(new, dialled=True)
    assert server.feed_untrusted(old.wrap_stream(encode(Ping(sequence=1)))) == Ping(sequence=1)
    answer = new.wrap_reply(encode(Ack(sequence=1)), server.label)
    assert _read(answer, old, dialled=False) == Ack(sequence=1)


def test_encryption_on_one_side_only_is_called_by_its_name() -> None:
    octets = encode_stream(Ack(sequence=1))
    unlabelled = Envelope(keyring=SEALED.keyring)
    with pytest.raises(BadPacket, match="has no key"):
        _read(unlabelled.wrap_stream(octets))
    with pytest.raises(BadPacket, match="has a key"):
        _read(octets, unlabelled)


def test_the_header_before_sealed_bytes_is_authenticated() -> None:
    octets = bytearray(Envelope(keyring=SEALED.keyring).wrap_stream(encode_stream(Ack(sequence=1))))
    octets[4] -= 1
    with pytest.raises(BadPacket, match="not ours"):
        _read(bytes(octets), Envelope(keyring=SEALED.keyring))


# --- bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        _packed(Type.PUSH_PULL, {"Nodes": 65_537, "UserStateLen": 0}),
        _packed(Type.PUSH_PULL, {"Nodes": 0, "UserStateLen": (20 << 20) + 1}),
        _packed(Type.USER, {"UserMsgLen": (20 << 20) + 1}),
        _packed(Type.COMPRESS) + b"\x82\xa4Algo\0\xa3Buf\xdb\xff\xff\xff\xff",
    ],
)
def test_a_length_beyond_the_limit_is_refused_before_the_bytes_come(octets: bytes) -> None:
    with pytest.raises(BadPacket, match="allowed"):
        _read(octets)


def test_a_sealed_length_beyond_the_limit_is_refused_before_the_bytes_come() -> None:
    with pytest.raises(BadPacket, match="allowed"):
        _read(bytes([Type.ENCRYPT]) + b"\x7f\xff\xff\xff", Envelope(keyring=SEALED.keyring))


@pytest.mark.parametrize(
    "octets",
    [
        bytes([Type.COMPOUND, 0]),
        bytes([Type.CRC, 0x80]),
        bytes([Type.ALIVE, 0x80]),
        bytes([200]),
        b"\0\xc1",
        bytes([Type.PUSH_PULL]) + b"\x93\1\2\3",
        _packed(Type.PUSH_PULL, {"Nodes": -1}),
        _packed(Type.USER, {"UserMsgLen": 1.5}),
        compressed(b"\x02\x80", algorithm=1),
        compressed(compressed(b"\x02\x80")),
        compressed(b"\x02"),
        compressed(b""),
        wrapped(b"\xff\xff"),
        b"\x09\x82\xa4Algo\0\xa3Buf\x01",
    ],
    ids=bytes.hex,
)
def test_nonsense_is_refused(octets: bytes) -> None:
    with pytest.raises(BadPacket):
        _read(octets)


def test_a_map_that_never_ends_is_refused_while_it_is_small() -> None:
    reader = StreamReader(PLAIN, dialled=True)
    assert reader.feed_untrusted(b"\x00\x8f\xda\xff\xff" + bytes(4091)) is None
    with pytest.raises(BadPacket, match="more than 4096 bytes"):
        reader.feed_untrusted(b"\0")


def test_a_stream_that_is_longer_than_any_may_be_is_refused() -> None:
    reader = StreamReader(PLAIN, dialled=True, limits=Limits(plain=10_000))
    header = _packed(Type.USER, {"UserMsgLen": 20_000})
    with pytest.raises(BadPacket, match="longer"):
        reader.feed_untrusted(header + bytes(30_000))


def test_bombs_in_streams_take_bounded_memory() -> None:
    limits = Limits(plain=2 * MEGABYTE)
    nodes = _packed(Type.PUSH_PULL, {"Nodes": 65_536}) + b"\x81\xa1x\0" * 65_000
    lists = _packed(Type.USER) + b"\xdc\x00\x40" * 600_000
    for bad in (wrapped(bomb(64 * MEGABYTE)), compressed(lists), compressed(nodes)):
        tracemalloc.start()
        try:
            with pytest.raises(BadPacket):
                StreamReader(PLAIN, dialled=True, limits=limits).feed_untrusted(bad)
            assert tracemalloc.get_traced_memory()[1] < 20 * MEGABYTE
        finally:
            tracemalloc.stop()


def test_a_reader_that_is_dropped_frees_its_bytes_at_once() -> None:
    reader = StreamReader(PLAIN, dialled=True)
    tracemalloc.start()
    try:
        reader.feed_untrusted(_packed(Type.USER, {"UserMsgLen": 10 * MEGABYTE}) + bytes(9 * MEGABYTE))
        assert tracemalloc.get_traced_memory()[0] > 9 * MEGABYTE
        del reader
        assert tracemalloc.get_traced_memory()[0] < MEGABYTE
    finally:
        tracemalloc.stop()


def test_large_states_are_read_in_time_that_is_proportional_to_them() -> None:
    octets = encode_stream(PushPull([_node(number) for number in range(20_000)], bytes(10 * MEGABYTE)))
    reader = StreamReader(PLAIN, dialled=True)
    began = time.process_time()
    answers = [reader.feed_untrusted(octets[at : at + 65_536]) for at in range(0, len(octets), 65_536)]
    assert isinstance(answers[-1], PushPull)
    assert len(answers[-1].nodes) == 20_000
    assert time.process_time() - began < 5  # takes 0.3 s; were it quadratic, minutes
