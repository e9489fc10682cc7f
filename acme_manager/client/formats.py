"""What servers want certificates in, made of the PEM parts on the host that has the key."""

from __future__ import annotations

import hashlib
import os
import struct
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from acme_manager.client.model import Format
from acme_manager.domain.bundle_files import Parts, pkcs12

HOLD_A_KEY = frozenset({Format.COMBINED, Format.PKCS12, Format.JKS})
DEFAULT_PASSWORD = "changeit"  # noqa: S105 what Java's tools expect; the file's mode protects the key

_JKS_MAGIC, _JKS_VERSION, _JKS_PRIVATE_KEY = 0xFEEDFEED, 2, 1
_JKS_SALT = b"Mighty Aphrodite"  # what Java mixes into the digest of a keystore
_JKS_PROTECTOR = bytes.fromhex("300e060a2b060104012a021101010500")  # AlgorithmIdentifier 1.3.6.1.4.1.42.2.17.1.1


def make(wanted: Format, parts: Parts, *, alias: str, password: str, made_at: datetime) -> bytes:
    """The content of a file in one format. `alias` is the entry's name in a keystore.

    Raises ValueError for parts that can't be read.
    """
    match wanted:
        case Format.FULLCHAIN:
            return parts.fullchain.encode()
        case Format.COMBINED:
            return (parts.key.strip() + "\n" + parts.fullchain).encode()
        case Format.DER:
            return x509.load_pem_x509_certificate(parts.certificate.encode()).public_bytes(Encoding.DER)
        case Format.PKCS12:
            return pkcs12(parts, alias, password)
        case Format.JKS:
            return _jks(parts, alias, password or DEFAULT_PASSWORD, made_at)


def _jks(parts: Parts, alias: str, password: str, made_at: datetime) -> bytes:
    """Java's own keystore, for what reads nothing newer: one private key with its chain.

    The layout is that of OpenJDK's JavaKeyStore and KeyProtector; it protects a key by no more than SHA-1.
    """
    secret = password.encode("utf-16-be")
    plain = parts.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    sealed = _sealed(plain, secret, os.urandom(20))
    chain = x509.load_pem_x509_certificates(parts.fullchain.encode())
    entry = struct.pack(">I", _JKS_PRIVATE_KEY) + _text(alias.lower())
    entry += struct.pack(">Q", int(made_at.timestamp() * 1000)) + _counted(sealed) + struct.pack(">I", len(chain))
    for one in chain:
        entry += _text("X.509") + _counted(one.public_bytes(Encoding.DER))
    store = struct.pack(">III", _JKS_MAGIC, _JKS_VERSION, 1) + entry
    return store + hashlib.sha1(secret + _JKS_SALT + store, usedforsecurity=False).digest()


def _sealed(plain: bytes, secret: bytes, salt: bytes) -> bytes:
    """An EncryptedPrivateKeyInfo by Java's key protector: the key XORed with a chain of SHA-1 digests."""
    stream, digest = b"", salt
    while len(stream) < len(plain):
        digest = hashlib.sha1(secret + digest, usedforsecurity=False).digest()
        stream += digest
    masked = bytes(one ^ other for one, other in zip(plain, stream, strict=False))
    check = hashlib.sha1(secret + plain, usedforsecurity=False).digest()
    return _der(0x30, _JKS_PROTECTOR + _der(0x04, salt + masked + check))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _counted(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content
