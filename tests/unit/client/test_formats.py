"""What the agent makes of PEM parts, read back by other code than that which wrote it."""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_private_key,
    pkcs12,
)

from acme_manager.client.formats import DEFAULT_PASSWORD, make
from acme_manager.client.model import Format
from acme_manager.domain.bundle_files import Parts
from acme_manager.domain.keys import KeyType, key_to_pem, make_key
from tests.unit.client.test_install import _signed

NOW = datetime(2026, 11, 24, tzinfo=UTC)
CA = ec.generate_private_key(ec.SECP256R1())


def parts(kind: KeyType = KeyType.EC256) -> Parts:
    key = make_key(kind)
    leaf, ca = _signed("leaf", key, "ca", CA), _signed("ca", CA, "ca", CA)  # type: ignore[arg-type]
    return Parts(certificate=leaf, chain="\n" + ca, key=key_to_pem(key))


def made(wanted: Format, of: Parts, password: str = "secret") -> bytes:
    return make(wanted, of, alias="Example.com", password=password, made_at=NOW)


def test_a_full_chain_has_each_certificate_once_be_the_certificate_a_bundle_or_not() -> None:
    one = parts()
    bundle = Parts(certificate=one.certificate + one.chain, chain=one.chain, key=one.key)
    assert made(Format.FULLCHAIN, bundle) == made(Format.FULLCHAIN, one)
    assert len(x509.load_pem_x509_certificates(made(Format.FULLCHAIN, one))) == 2


def test_a_combined_file_begins_with_the_key() -> None:
    one = parts()
    assert made(Format.COMBINED, one).decode() == one.key.strip() + "\n" + one.fullchain


def test_der_is_the_leaf() -> None:
    one = parts()
    leaf = x509.load_pem_x509_certificate(one.certificate.encode())
    assert made(Format.DER, one) == leaf.public_bytes(Encoding.DER)


@pytest.mark.parametrize("password", ["secret", ""])
@pytest.mark.parametrize("kind", [KeyType.EC256, KeyType.RSA2048])
def test_pkcs12_holds_key_and_chain(kind: KeyType, password: str) -> None:
    one = parts(kind)
    found = pkcs12.load_pkcs12(made(Format.PKCS12, one, password), password.encode() or None)
    assert found.key is not None
    assert key_to_pem(found.key) == one.key  # type: ignore[arg-type]
    assert found.cert is not None
    assert found.cert.friendly_name == b"Example.com"
    assert [more.certificate.subject.rfc4514_string() for more in found.additional_certs] == ["CN=ca"]


@pytest.mark.parametrize(("kind", "password"), [(KeyType.EC256, "secret"), (KeyType.RSA2048, "")])
def test_a_java_keystore_holds_key_and_chain(kind: KeyType, password: str) -> None:
    one = parts(kind)
    alias, key, chain = _read_jks(made(Format.JKS, one, password), password or DEFAULT_PASSWORD)
    assert alias == "example.com"
    assert key_to_pem(load_der_private_key(key, None)) == one.key  # type: ignore[arg-type]
    assert [each.subject.rfc4514_string() for each in chain] == ["CN=leaf", "CN=ca"]


def test_a_key_that_can_not_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="PEM"):
        made(Format.PKCS12, Parts(certificate=parts().certificate, key="no key"))


def _read_jks(store: bytes, password: str) -> tuple[str, bytes, list[x509.Certificate]]:
    """As Java reads it: the digest over everything, then the one entry, then the key behind the protector's digests."""
    secret, (body, digest) = password.encode("utf-16-be"), (store[:-20], store[-20:])
    assert hashlib.sha1(secret + b"Mighty Aphrodite" + body).digest() == digest
    assert struct.unpack_from(">IIII", body) == (0xFEEDFEED, 2, 1, 1)
    at = 16
    (size,) = struct.unpack_from(">H", body, at)
    alias, at = body[at + 2 : at + 2 + size].decode(), at + 2 + size
    assert struct.unpack_from(">Q", body, at) == (int(NOW.timestamp() * 1000),)
    (size,) = struct.unpack_from(">I", body, at + 8)
    sealed, at = body[at + 12 : at + 12 + size], at + 12 + size
    (count,) = struct.unpack_from(">I", body, at)
    at, chain = at + 4, []
    for _ in range(count):
        assert body[at : at + 7] == b"\x00\x05X.509"
        (size,) = struct.unpack_from(">I", body, at + 7)
        chain.append(x509.load_der_x509_certificate(body[at + 11 : at + 11 + size]))
        at += 11 + size
    assert at == len(body)
    # The octet string is the last member of the sequence; its header is 2 to 4 bytes long, depending on its size.
    start = sealed.index(bytes.fromhex("2b060104012a021101010500")) + 12
    header = 2 if sealed[start + 1] < 0x80 else 2 + (sealed[start + 1] & 0x7F)
    data = sealed[start + header :]
    salt, masked, check = data[:20], data[20:-20], data[-20:]
    plain, block = b"", salt
    while len(plain) < len(masked):
        block = hashlib.sha1(secret + block).digest()
        part = masked[len(plain) : len(plain) + 20]
        plain += bytes(left ^ right for left, right in zip(part, block, strict=False))
    assert hashlib.sha1(secret + plain).digest() == check
    return alias, plain, chain
