"""memberlist's encryption: AES-GCM under a key that the members share, and older keys for the time of a change.

A sealed blob is `version(1) | nonce(12) | ciphertext | tag(16)`. Version 1 is what we write; in version 0, which very
old peers write, the text is padded to whole blocks first. The protocol has no protection against replay.
"""

from __future__ import annotations

import base64
import binascii
import secrets

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from acme_manager.ring.types import BadPacket

KEY_SIZES = (16, 24, 32)  # bytes, for AES-128, -192 and -256
OVERHEAD = 29  # bytes that sealing adds
_NONCE, _TAG, _BLOCK = 12, 16, 16
_PADDED, _PLAIN = 0, 1  # versions


@attrs.frozen(init=False, repr=False, eq=False)
class Keyring:
    """The keys of a cluster. What changes the keys makes a new keyring."""

    _ciphers: tuple[AESGCM, ...]

    def __init__(self, primary: bytes, *older: bytes) -> None:
        """`primary` seals, all of them open. Raises ValueError for the wrong number of bytes, without naming any."""
        keys = tuple(dict.fromkeys((primary, *older)))
        for key in keys:
            if len(key) not in KEY_SIZES:
                raise ValueError(f"a key of the ring has {len(key)} bytes, where 16, 24 or 32 belong")
        self.__attrs_init__(tuple(map(AESGCM, keys)))

    @classmethod
    def from_base64(cls, primary: str, *older: str) -> Keyring:
        """From keys as `serf keygen` and `openssl rand -base64 32` print them. Raises ValueError without naming any."""
        return cls(_from_base64(primary), *map(_from_base64, older))

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._ciphers)}>"

    def seal(self, text: bytes, associated: bytes) -> bytes:
        """Encrypt under the primary key. `associated` must be the same when it is opened."""
        nonce = secrets.token_bytes(_NONCE)
        return bytes([_PLAIN]) + nonce + self._ciphers[0].encrypt(nonce, text, associated)

    def open_untrusted(self, blob: bytes, associated: bytes) -> bytes:
        """Decrypt with whichever key fits. Raises BadPacket, and nothing else."""
        if len(blob) < OVERHEAD:
            raise BadPacket("an encrypted message is too short")
        version, nonce, sealed = blob[0], blob[1 : 1 + _NONCE], blob[1 + _NONCE :]
        if version not in (_PADDED, _PLAIN):
            raise BadPacket("a message is not encrypted, or in a way that we don't know")
        for cipher in self._ciphers:
            try:
                text = cipher.decrypt(nonce, sealed, associated)
            except InvalidTag:
                continue
            return text if version == _PLAIN else _without_padding(text)
        raise BadPacket("a message is encrypted under a key, or for a label, that is not ours")


def _without_padding(text: bytes) -> bytes:
    padding = text[-1] if text else 0
    if not 1 <= padding <= _BLOCK or text[-padding:] != bytes([padding]) * padding:
        raise BadPacket("an encrypted message is padded wrongly")
    return text[:-padding]


def _from_base64(key: str) -> bytes:
    try:
        return base64.b64decode(key.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a key of the ring is no base64 text") from None
