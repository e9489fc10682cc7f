"""Private keys as they lie on the host, in the Go original's PEM: SEC 1 for elliptic curves, PKCS#1 for RSA."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from acme_manager.domain.keys import PrivateKey, make_csr, make_key, parse_key_type
from acme_manager.domain.names import parse_identifier, parse_san


def new_key(key_type: str) -> str:
    """A new key in PEM. It takes up to seconds: call it in a thread. Raises InvalidRequest for an unknown type."""
    key = make_key(parse_key_type(key_type))
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def read_key(pem: str) -> PrivateKey:
    """Raises ValueError for what is no RSA or ECDSA key, or is encrypted."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("the key is neither an RSA nor an ECDSA key")
    return key


def key_type(pem: str) -> str:
    """As the configuration has it, in lower case: `ec256`, `rsa2048`. Raises ValueError."""
    key = read_key(pem)
    return f"{'rsa' if isinstance(key, rsa.RSAPrivateKey) else 'ec'}{key.key_size}"


def signing_request(pem: str, domain: str, san: str) -> str:
    """The API's `csr`: base64 of a request in PEM, the domain its common name. Raises ValueError, InvalidRequest."""
    names = tuple(dict.fromkeys((parse_identifier(domain), *parse_san(san))))
    request = x509.load_der_x509_csr(make_csr(read_key(pem), names))
    return base64.b64encode(request.public_bytes(Encoding.PEM)).decode()


def made_for(pem: str, certificate: str) -> bool:
    """Whether a certificate is for this key; false too when either can't be read."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate.encode())
        return _public(read_key(pem).public_key()) == _public(leaf.public_key())
    except ValueError:
        return False


def asked_with(pem: str, csr: str) -> bool:
    """Whether a signing request, as the API has it, is of this key; false too when either can't be read."""
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(csr))
        return _public(read_key(pem).public_key()) == _public(request.public_key())
    except ValueError:
        return False


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
