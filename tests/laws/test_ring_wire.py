from __future__ import annotations

from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from acme_manager.ring.envelope import Envelope
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.lzw import decompress_untrusted
from acme_manager.ring.messages import (
    Ack,
    Alive,
    Dead,
    Err,
    IndirectPing,
    Mapped,
    Nack,
    Ping,
    PushNode,
    Suspect,
    User,
    compound,
    encode,
    parse_untrusted,
    with_crc,
)
from acme_manager.ring.streams import PushPull, StreamMessage, StreamReader, encode_stream
from acme_manager.ring.types import Address, Status
from tests.fuzz.compress import compressed, lzw
from tests.fuzz.ring import CORPUS, GROWTH, Mutator, Sample, campaign, check, megabytes

_u32 = st.integers(0, 2**32 - 1)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_names = _texts.filter(bool)
_hosts = st.ip_addresses().filter(lambda host: host.version == 4 or host.ipv4_mapped is None).map(str)
_ports = st.integers(0, 65535)
_addresses: st.SearchStrategy[Address] = st.tuples(_hosts, _ports)
_sources: st.SearchStrategy[Address | None] = st.none() | st.tuples(_hosts, st.integers(1, 65535))
_vsn = st.binary(min_size=6, max_size=6)
_meta = st.binary(max_size=512)

_asked = {"sequence": _u32, "node": _texts, "source": _sources, "source_node": _texts}
_claimed = {"incarnation": _u32, "node": _names, "by": _texts}
_known = {"incarnation": _u32, "address": _addresses, "meta": _meta, "vsn": _vsn}

_pings = st.builds(Ping, **_asked)
_acks = st.builds(Ack, sequence=_u32, payload=st.binary(max_size=300))
_mapped: st.SearchStrategy[Mapped] = st.one_of(
    _pings,
    _acks,
    st.builds(IndirectPing, target=_addresses, nack=st.booleans(), **_asked),
    st.builds(Nack, sequence=_u32),
    st.builds(Suspect, **_claimed),
    st.builds(Dead, **_claimed),
    st.builds(Alive, node=_names, **_known),
)
_messages: st.SearchStrategy[Mapped | User] = _mapped | st.builds(User, st.binary(max_size=300))
_nodes = st.builds(PushNode, name=_names, status=st.sampled_from(Status), **_known)
_streams: st.SearchStrategy[StreamMessage] = st.one_of(
    st.builds(PushPull, st.lists(_nodes, max_size=5), st.binary(max_size=100), st.booleans()),
    st.builds(User, st.binary(max_size=300)),
    st.builds(Err, error=_texts),
    _pings,
    _acks,
)
_envelopes = st.builds(
    Envelope,
    label=st.binary(max_size=20),
    keyring=st.none() | st.builds(Keyring, st.binary(min_size=16, max_size=16)),
)


@given(_messages)
def test_what_is_encoded_is_parsed_the_same(message: Mapped | User) -> None:
    assert parse_untrusted(encode(message)) == [message]


@given(st.lists(_messages, max_size=300), st.integers(0, 3000))
def test_messages_come_out_of_packets_complete_and_in_order(messages: list[Mapped | User], budget: int) -> None:
    packets = compound(map(encode, messages), budget)
    assert [message for packet in packets for message in parse_untrusted(with_crc(packet))] == messages


@given(st.lists(st.integers(1, 70_000).map(bytes), max_size=20), st.integers(0, 200_000))
def test_packets_are_within_their_budget_unless_one_message_is_not(parts: list[bytes], budget: int) -> None:
    assert all(len(packet) <= budget or packet in parts for packet in compound(parts, budget))


@given(st.lists(st.integers(1, 400).map(bytes), max_size=40))
def test_no_two_packets_in_a_row_would_have_fitted_into_one(parts: list[bytes]) -> None:
    packets = compound(parts, 1400)
    contents = [4 + len(packet) if packet in parts else len(packet) for packet in packets]
    firsts = [int.from_bytes(packet[2:4]) if packet[:1] == b"\x07" else len(packet) for packet in packets]
    for size, first in zip(contents, firsts[1:], strict=False):
        assert size + 2 + first > 1400


@given(st.binary(max_size=5000) | st.builds(bytes.__mul__, st.binary(max_size=5), st.integers(0, 3000)))
def test_decompression_undoes_compression(data: bytes) -> None:
    assert decompress_untrusted(lzw(data), len(data)) == data
    assert decompress_untrusted(lzw(data, clear_when_full=False), len(data)) == data


@given(_streams, _envelopes, st.booleans(), st.lists(st.integers(1, 50), max_size=20))
def test_streams_come_through_however_they_are_cut(
    message: StreamMessage, envelope: Envelope, pressed: bool, cuts: list[int]
) -> None:
    plain = encode_stream(message)
    octets = envelope.wrap_stream(compressed(plain) if pressed else plain)
    reader = StreamReader(envelope, dialled=True)
    for cut in cuts:
        if len(octets) > cut:
            assert reader.feed_untrusted(octets[:cut]) is None
            octets = octets[cut:]
    assert reader.feed_untrusted(octets) == message


@given(_envelopes, st.binary(max_size=100))
def test_envelopes_come_off_as_they_were_put_on(envelope: Envelope, payload: bytes) -> None:
    assume(envelope.keyring or envelope.label or payload[:1] != b"\xf4")
    assert envelope.unwrap_packet_untrusted(envelope.wrap_packet(payload)) == payload


@given(st.binary(max_size=300))
def test_any_bytes_are_messages_or_a_bad_packet(octets: bytes) -> None:
    for envelope in {sample.envelope for sample in CORPUS}:
        for stream in (False, True):
            check(octets, envelope, stream=stream)


@given(st.sampled_from(CORPUS), st.randoms(use_true_random=False))
def test_any_change_of_what_a_peer_sent_gives_messages_or_a_bad_packet(sample: Sample, random: Random) -> None:
    check(Mutator(random).mutate(sample), sample.envelope, stream=sample.stream)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_short_campaign_of_damaged_packets_ends_well_and_in_bounded_memory(seed: int) -> None:
    before = megabytes()
    outcomes = campaign(10_000, seed)
    assert megabytes() - before < GROWTH
    assert set(outcomes) == {"bad", "messages", "messages and unreadable parts", "stream", "incomplete stream"}
    assert min(outcomes.values()) > 100  # or else the damage is so coarse that it tests little
