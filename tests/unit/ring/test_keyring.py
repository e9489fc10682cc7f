from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from acme_manager.ring.keyring import OVERHEAD, Keyring
from acme_manager.ring.types import BadPacket

KEYS = [bytes([number]) * size for number, size in enumerate((16, 24, 32), start=1)]


def _padded(key: bytes, text: bytes, associated: bytes = b"") -> bytes:
    """Version 0, as very old peers seal."""
    return b"\0" + bytes(12) + AESGCM(key).encrypt(bytes(12), text, associated)


@pytest.mark.parametrize("key", KEYS, ids=len)
@pytest.mark.parametrize("text", [b"", b"text", bytes(100_000)], ids=len)
def test_what_is_sealed_can_be_opened(key: bytes, text: bytes) -> None:
    sealed = Keyring(key).seal(text, b"label")
    assert len(sealed) == len(text) + OVERHEAD
    assert sealed[0] == 1
    assert Keyring(key).open_untrusted(sealed, b"label") == text


def test_no_nonce_is_used_twice() -> None:
    keyring = Keyring(KEYS[0])
    assert len({keyring.seal(b"", b"")[1:13] for _ in range(1000)}) == 1000


def test_a_message_of_the_old_version_loses_its_padding() -> None:
    for length in range(33):
        text = b"t" * length
        padding = 16 - length % 16
        blob = _padded(KEYS[2], text + bytes([padding]) * padding, b"label")
        assert Keyring(KEYS[2]).open_untrusted(blob, b"label") == text


@pytest.mark.parametrize("text", [b"", b"t" * 15 + b"\0", b"t" * 15 + b"\x11", b"t" * 14 + b"\1\2", b"\x03\x03"])
def test_wrong_padding_is_refused(text: bytes) -> None:
    with pytest.raises(BadPacket, match="padded wrongly"):
        Keyring(KEYS[0]).open_untrusted(_padded(KEYS[0], text), b"")


def test_keys_are_changed_by_adding_the_new_one_moving_it_to_the_front_and_dropping_the_old_one() -> None:
    old, new = KEYS[0], KEYS[1]
    stages = [Keyring(old), Keyring(old, new), Keyring(new, old), Keyring(new)]
    for one, next_one in pairwise(stages):
        assert next_one.open_untrusted(one.seal(b"text", b""), b"") == b"text"
        assert one.open_untrusted(next_one.seal(b"text", b""), b"") == b"text"
    with pytest.raises(BadPacket, match="not ours"):
        stages[-1].open_untrusted(stages[0].seal(b"text", b""), b"")


@pytest.mark.parametrize("associated", [b"", b"label", b"\x0a\0\0\0\x21label"])
def test_other_associated_bytes_do_not_open_it(associated: bytes) -> None:
    sealed = Keyring(KEYS[0]).seal(b"text", b"other")
    with pytest.raises(BadPacket, match="not ours"):
        Keyring(KEYS[0]).open_untrusted(sealed, associated)


def test_any_changed_bit_is_noticed() -> None:
    keyring = Keyring(KEYS[0])
    sealed = keyring.seal(b"text", b"")
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadPacket, match=r"encrypted|padded"):
            keyring.open_untrusted(bytes(changed), b"")


@pytest.mark.parametrize("blob", [b"", b"\1", bytes(28), b"\2" + bytes(40), b"\x0c" + bytes(40)])
def test_what_is_too_short_or_not_encrypted_is_refused(blob: bytes) -> None:
    with pytest.raises(BadPacket, match="encrypted"):
        Keyring(KEYS[0]).open_untrusted(blob, b"")


def test_keys_are_read_from_base64() -> None:
    texts = [base64.b64encode(key).decode() for key in KEYS]
    sealed = Keyring(KEYS[2]).seal(b"text", b"")
    assert Keyring.from_base64(texts[0] + "\n", *texts[1:]).open_untrusted(sealed, b"") == b"text"


@pytest.mark.parametrize(("key", "complaint"), [("secret!", "no base64"), ("c2VjcmV0", "6 bytes"), ("ü", "no base64")])
def test_a_bad_key_is_refused_without_being_shown(key: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        Keyring.from_base64(key)
    assert key not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_keys_are_never_shown() -> None:
    assert repr(Keyring(KEYS[0], KEYS[1])) == str(Keyring(KEYS[0], KEYS[1])) == "<Keyring of 2>"


def test_a_keyring_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Keyring(KEYS[0])._ciphers = ()  # type: ignore[misc]
