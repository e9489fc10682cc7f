from __future__ import annotations

import pytest

from acme_manager.ring.envelope import Envelope
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.types import BadPacket

KEYRING = Keyring(bytes(16))
ENVELOPES = [
    Envelope(label=label, keyring=keyring) for label in (b"", b"prod", b"l" * 255) for keyring in (None, KEYRING)
]


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("payload", [b"", b"payload", b"\xf4"], ids=str)
def test_what_is_wrapped_can_be_unwrapped(envelope: Envelope, payload: bytes) -> None:
    if payload == b"\xf4" and envelope == Envelope():
        return  # no message begins with the byte that begins a label
    packet = envelope.wrap_packet(payload)
    assert len(packet) == len(payload) + envelope.overhead
    assert envelope.unwrap_packet_untrusted(packet) == payload


@pytest.mark.parametrize("theirs", ENVELOPES)
@pytest.mark.parametrize("ours", ENVELOPES)
def test_only_the_same_label_and_key_unwrap_a_packet(theirs: Envelope, ours: Envelope) -> None:
    packet = theirs.wrap_packet(b"\x08payload")
    if theirs.label == ours.label and ours.keyring is None:
        assert ours.unwrap_packet_untrusted(packet)  # a plain node takes anything for a message
    elif theirs == ours:
        assert ours.unwrap_packet_untrusted(packet) == b"\x08payload"
    else:
        with pytest.raises(BadPacket, match=r"label|encrypted"):
            ours.unwrap_packet_untrusted(packet)


def test_a_label_that_was_exchanged_on_the_way_is_noticed() -> None:
    sealed = Envelope(label=b"prod", keyring=KEYRING).wrap_packet(b"payload")[6:]
    with pytest.raises(BadPacket, match="not ours"):
        Envelope(label=b"test", keyring=KEYRING).unwrap_packet_untrusted(b"\xf4\x04test" + sealed)


def test_any_label_is_accepted_while_labels_change() -> None:
    envelope = Envelope(label=b"new", keyring=KEYRING, any_label=True)
    for other in (b"old", b"", b"new"):
        packet = Envelope(label=other, keyring=KEYRING).wrap_packet(b"payload")
        assert envelope.unwrap_packet_untrusted(packet) == b"payload"


@pytest.mark.parametrize("packet", [b"\xf4", b"\xf4\x00", b"\xf4\x00\x08", b"\xf4\x04pro"])
def test_a_label_that_is_empty_or_cut_off_is_refused(packet: bytes) -> None:
    for label in (b"", b"prod"):
        with pytest.raises(BadPacket, match="empty, or cut off"):
            Envelope(label=label).unwrap_packet_untrusted(packet)


def test_a_label_has_at_most_255_bytes() -> None:
    with pytest.raises(ValueError, match="label"):
        Envelope(label=b"l" * 256)
