"""Certificates that prove control of a name to a CA, and nothing to anybody else (RFC 8737 section 3)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from acme_manager.domain.names import Identifier, IdentifierType

_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OCTET_STRING = bytes([4, 32])  # DER: the type, and the length of a SHA-256
_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)  # no CA looks, and clocks differ


def server_name(identifier: Identifier) -> str:
    """What the CA sends as server name indication: for an address, its name in the reverse tree (RFC 8738)."""
    if identifier.type is IdentifierType.IP:
        return ip_address(identifier.value).reverse_pointer
    return identifier.value


def make_validation_certificate(identifier: Identifier, key_authorization: str) -> bytes:
    """A new key and the self-signed certificate that the CA wants to see, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([])
    digest = hashlib.sha256(key_authorization.encode("ascii")).digest()
    names: x509.GeneralName = (
        x509.IPAddress(ip_address(identifier.value))
        if identifier.type is IdentifierType.IP
        else x509.DNSName(identifier.value)
    )
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), *_ALWAYS)
        .add_extension(x509.SubjectAlternativeName([names]), critical=True)
        .add_extension(x509.UnrecognizedExtension(_ACME_IDENTIFIER, _OCTET_STRING + digest), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)
