from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.ring.ballots import (
    Message,
    Release,
    Renew,
    RenewReply,
    VoteReply,
    VoteRequest,
    encode,
    parse_untrusted,
)
from acme_manager.ring.types import BadPacket

COUNTS = st.integers(0, 2**53 - 1)
LIVES = st.integers(0, 2**63 - 1)
NAMES = st.text(min_size=1, max_size=255)
MESSAGES = st.one_of(
    st.builds(VoteRequest, COUNTS, LIVES, COUNTS, st.booleans()),
    st.builds(VoteReply, COUNTS, LIVES, COUNTS, st.booleans(), st.booleans(), COUNTS),
    st.builds(Renew, COUNTS, LIVES, COUNTS),
    st.builds(RenewReply, COUNTS, LIVES, COUNTS, st.booleans(), COUNTS),
    st.builds(Release, COUNTS, LIVES, st.text(max_size=255)),
)


@given(NAMES, MESSAGES)
def test_what_is_sent_is_what_arrives(sender: str, message: Message) -> None:
    assert parse_untrusted(encode(sender, message)) == (sender, message)


def test_a_message_fits_into_any_packet() -> None:
    largest = VoteReply(2**53 - 1, 2**63 - 1, 2**53 - 1, trial=False, granted=True, known=2**53 - 1)
    assert len(encode("n" * 63, largest)) < 200


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_a_message_or_a_bad_packet(body: bytes) -> None:
    try:
        sender, message = parse_untrusted(body)
    except BadPacket:
        return
    assert parse_untrusted(encode(sender, message)) == (sender, message)


@given(NAMES, MESSAGES, st.data())
def test_damaged_bytes_are_a_message_or_a_bad_packet(sender: str, message: Message, data: st.DataObject) -> None:
    body = bytearray(encode(sender, message))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(BadPacket):
        parse_untrusted(bytes(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x92",
        b"\xc0" * 1000,
        b"\x91" * 5000,
        encode("", Renew(1, 2, 3)),
        encode("a", Renew(-1, 2, 3)),
        b"\x92\xa1\xff\x90",
    ],
)
def test_nonsense_is_a_bad_packet(body: bytes) -> None:
    with pytest.raises(BadPacket):
        parse_untrusted(body)
