"""A certificate with its chain and its key in one file, as the agent installs it and the UI offers it."""

from __future__ import annotations

import re

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import PBES, serialize_key_and_certificates

from acme_manager.domain.certificate import Certificate, StoredCertificate
from acme_manager.errors import InvalidRequest

_ROUNDS = 100_000  # of PBKDF2: what guessing a person's password costs; 20 ms
_LONGEST_PASSWORD = 256  # characters
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@attrs.frozen(kw_only=True)
class Parts:
    """A certificate as PEM: the leaf (with its chain behind it in a bundle), what comes behind, and the key."""

    certificate: str
    chain: str = ""
    key: str = attrs.field(default="", repr=False)

    @classmethod
    def of(cls, stored: StoredCertificate) -> Parts:
        """What the server keeps; the key is there only where the server made it."""
        return cls(certificate=stored.cert, chain=stored.ca_issuer, key=stored.private_key)

    @property
    def fullchain(self) -> str:
        """Leaf and chain, each certificate once. Raises ValueError."""
        text = "\n".join(part.strip() for part in (self.certificate, self.chain) if part.strip())
        unique = dict.fromkeys(x509.load_pem_x509_certificates(text.encode()))
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in unique)

    @property
    def private_key(self) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
        """The key, read. Raises ValueError."""
        key = load_pem_private_key(self.key.encode(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
            raise ValueError(f"no kind of key for certificates: {type(key).__name__}")
        return key


def pkcs12(parts: Parts, alias: str, password: str) -> bytes:
    """PKCS#12 as OpenSSL 3 and Java 17 write it too: PBES2 with AES-256, and a MAC by SHA-256.

    `alias` is the entry's name. Without a password nothing is encrypted. Raises ValueError for what can't be read.
    """
    leaf, *chain = x509.load_pem_x509_certificates(parts.fullchain.encode())
    builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(_ROUNDS).hmac_hash(hashes.SHA256())
    strong = builder.key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC)
    encryption = strong.build(password.encode()) if password else NoEncryption()
    return serialize_key_and_certificates(alias.encode(), parts.private_key, leaf, chain, encryption)


def pkcs12_of(stored: StoredCertificate, password: str) -> bytes:
    """PKCS#12 of a certificate whose key the server made.

    Raises InvalidRequest for one whose key is on its host, and for a password that is empty or too long.
    """
    if not stored.private_key:
        raise InvalidRequest(
            "there is no PKCS#12 of it here: its key was made on its host, and never was on the server"
        )
    if not 0 < len(password) <= _LONGEST_PASSWORD:
        raise InvalidRequest(f"'password' must have 1 to {_LONGEST_PASSWORD} characters", "password")
    try:
        return pkcs12(Parts.of(stored), _title(stored.certificate), password)
    except ValueError as error:
        raise InvalidRequest(f"the certificate as it is kept can't be read: {error}") from error


def file_name(certificate: Certificate, extension: str) -> str:
    """What a download is called: `www.example.com.p12`, `_.example.com.key`; safe as a file's name and in a header."""
    return _UNSAFE.sub("_", _title(certificate)).lstrip(".") + extension


def _title(certificate: Certificate) -> str:
    return certificate.name or certificate.domain
