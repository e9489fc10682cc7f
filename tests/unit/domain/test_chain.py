"""What is told of real certificates, made by trustme and by the library itself."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from acme_manager.domain.chain import describe_chain

START = datetime(2026, 11, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP384R1())
NAME = x509.Name(
    [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test, Inc."), x509.NameAttribute(NameOID.COMMON_NAME, "Root")]
)
SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def made(*extensions: x509.ExtensionType, subject: x509.Name = NAME) -> str:
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=NAME)
        .public_key(KEY.public_key())
        .serial_number(0x0ABC)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=90))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA384()).public_bytes(Encoding.PEM).decode()


def timestamp_list(number: int) -> x509.UnrecognizedExtension:
    """RFC 6962 section 3.3: a list of SCTs of version 1 in a TLS vector in an OCTET STRING."""
    one = b"\0" + bytes(32) + struct.pack(">Q", 1) + b"\0\0" + b"\4\3" + struct.pack(">H", 4) + b"sign"
    vector = b"".join(struct.pack(">H", len(one)) + one for _ in range(number))
    content = struct.pack(">H", len(vector)) + vector
    return x509.UnrecognizedExtension(SCTS, bytes([0x04, len(content)]) + content)


def test_every_certificate_of_a_chain_is_told_of_in_its_order() -> None:
    root = trustme.CA(organization_name="Root")
    middle = root.create_child_ca()
    issued = middle.issue_cert("example.com", "*.example.com", "2001:db8::1")
    leaf, above = describe_chain("".join(blob.bytes().decode() for blob in issued.cert_chain_pems))
    assert leaf.names == ("example.com", "*.example.com", "2001:db8::1")
    assert leaf.usages == ("client auth", "server auth", "code signing")
    assert (leaf.key, leaf.signature) == ("ECDSA-256", "ECDSA with SHA256")
    assert (leaf.ca, above.ca) == (False, True)
    assert leaf.issuer == above.subject != above.issuer
    assert leaf.issuer_key_id == above.key_id != ""
    assert leaf.timestamps == 0


def test_everything_that_it_says_is_told() -> None:
    url = x509.UniformResourceIdentifier
    pem = made(
        x509.BasicConstraints(ca=True, path_length=0),
        x509.SubjectKeyIdentifier(b"\xab\x01"),
        x509.AuthorityKeyIdentifier(b"\xcd", None, None),
        x509.SubjectAlternativeName([x509.DirectoryName(NAME), x509.RFC822Name("a@example.com")]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING, x509.ObjectIdentifier("1.2.3")]),
        x509.CRLDistributionPoints([x509.DistributionPoint([url("http://c.test/1.crl")], None, None, None)]),
        x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(AuthorityInformationAccessOID.OCSP, url("http://o.test")),
                x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, url("http://i.test/ca.der")),
            ]
        ),
        timestamp_list(2),
    )
    (link,) = describe_chain(pem)
    assert link.subject == link.issuer == r"CN=Root,O=Test\, Inc."
    assert (link.serial, link.key, link.signature) == ("abc", "ECDSA-384", "ECDSA with SHA384")
    assert (link.not_before, link.not_after) == (START, START + timedelta(days=90))
    assert link.names == (link.subject, "a@example.com")
    assert link.usages == ("ocsp signing", "1.2.3")
    assert (link.key_id, link.issuer_key_id) == ("ab01", "cd")
    assert link.crl_urls == ("http://c.test/1.crl",)
    assert (link.ocsp_urls, link.issuer_urls) == (("http://o.test",), ("http://i.test/ca.der",))
    assert link.timestamps == 2
    assert link.fingerprint == x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()


def test_a_certificate_without_extensions_has_little_to_say() -> None:
    (link,) = describe_chain(made(subject=x509.Name([])))
    assert (link.subject, link.names, link.usages, link.ca, link.key_id) == ("", (), (), False, "")


def test_other_signatures_and_keys_have_their_names() -> None:
    key = rsa.generate_private_key(65537, 2048)
    one = (
        x509.CertificateBuilder(subject_name=NAME, issuer_name=NAME)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(START)
        .sign(key, hashes.SHA256())
    )
    (link,) = describe_chain(one.public_bytes(Encoding.PEM).decode())
    assert (link.key, link.signature) == ("RSA-2048", "RSA with SHA256")


@pytest.mark.parametrize(
    "pem", ["", "no certificate", made(x509.UnrecognizedExtension(x509.BasicConstraints.oid, b"\x04\x01"))]
)
def test_what_is_no_certificate_or_a_broken_one_is_an_error(pem: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        describe_chain(pem)
