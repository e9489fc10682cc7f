"""Keys, signing requests and facts about certificates."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from acme_manager.domain.keys import (
    KeyType,
    PrivateKey,
    belong_together,
    check_csr,
    describe,
    fingerprint,
    key_to_pem,
    make_csr,
    make_key,
    parse_csr,
    parse_key_type,
    split_chain,
)
from acme_manager.domain.names import parse_identifier, parse_san
from acme_manager.errors import InvalidRequest

KEY = make_key(KeyType.EC256)
START = datetime(2026, 1, 1, tzinfo=UTC)


def _csr(common_name: str = "", *names: x509.GeneralName, key: object = KEY) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    builder = x509.CertificateSigningRequestBuilder(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return base64.b64encode(builder.sign(key, algorithm).public_bytes(Encoding.PEM)).decode()  # type: ignore[arg-type]


def _leaf(key: PrivateKey = KEY, serial: int = 0x0ABC, *names: x509.GeneralName) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName(names or [x509.DNSName("a.example")]), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("text", ["rsa2048", "RSA3072", "Rsa4096", "ec256", "EC384"])
def test_key_types_are_read_in_any_case(text: str) -> None:
    assert parse_key_type(text) == text.upper()


@pytest.mark.parametrize(("text", "hint"), [("", "none of RSA2048"), ("P-256", "none of"), ("rsa8192", "send a 'csr'")])
def test_other_key_types_are_refused_with_the_choice_there_is(text: str, hint: str) -> None:
    with pytest.raises(InvalidRequest, match=hint) as caught:
        parse_key_type(text)
    assert caught.value.where == "key_type"


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_made_key_has_the_size_it_should_and_survives_being_written(key_type: KeyType) -> None:
    key = make_key(key_type)
    assert str(key.key_size) in key_type
    assert load_pem_private_key(key_to_pem(key).encode(), None).public_key() == key.public_key()
    assert key_type.slow is isinstance(key, rsa.RSAPrivateKey)


def test_a_made_request_is_one_that_we_accept() -> None:
    names = (parse_identifier("www.example.org"), *parse_san("*.example.org, 192.0.2.1, 2001:db8::1"))
    der = make_csr(KEY, names)
    csr = parse_csr(base64.b64encode(x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)).decode())
    check_csr(csr, names)
    assert csr.der == der
    assert csr.common_name == "www.example.org"


def test_the_common_name_is_the_first_domain_that_fits() -> None:
    long = "a" * 60 + ".example.org"
    assert parse_csr(_pem64(make_csr(KEY, parse_san(f"192.0.2.1,{long},b.example")))).common_name == "b.example"
    assert parse_csr(_pem64(make_csr(KEY, parse_san(f"192.0.2.1,{long}")))).common_name == ""


def _pem64(der: bytes) -> str:
    return base64.b64encode(x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%%%", "invalid 'csr' parameter, bad format: "),
        ("AAAA", "invalid 'csr' parameter: "),
        (
            base64.b64encode(
                b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
            ).decode(),
            "csr",
        ),
        (_csr(), "neither a common name nor alternative names"),
        (_csr("a b.example"), 'invalid label "a b"'),
        (_csr("a.example", x509.RFC822Name("me@a.example")), "neither a domain nor an IP address"),
        (_csr("a.example", key=rsa.generate_private_key(65537, 1024)), "its RSA key has 1024 bits"),
        (_csr("a.example", key=ec.generate_private_key(ec.SECP224R1())), "its curve secp224r1 is none of"),
        (_csr("a.example", key=dsa.generate_private_key(2048)), "none of RSA, ECDSA and Ed25519"),
    ],
)
def test_a_request_that_can_not_be_used_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        parse_csr(text)
    assert caught.value.where == "csr"


def test_a_request_signed_by_another_key_is_refused() -> None:
    der = bytearray(
        x509.load_pem_x509_csr(base64.b64decode(_csr("a.example", key=make_key(KeyType.RSA2048)))).public_bytes(
            Encoding.DER
        )
    )
    der[-1] ^= 1
    with pytest.raises(InvalidRequest, match="signature"):
        parse_csr(_pem64(bytes(der)))


def test_base64_may_be_wrapped_and_strong_foreign_keys_are_taken() -> None:
    text = _csr("A.Example", key=ec.generate_private_key(ec.SECP521R1()))
    wrapped = "\r\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    assert parse_csr(wrapped).names == (parse_identifier("a.example"),)
    assert parse_csr(_csr("a.example", key=ed25519.Ed25519PrivateKey.generate())).common_name


@pytest.mark.parametrize(
    ("csr", "wanted", "message"),
    [
        (_csr("a.example"), "a.example", ""),
        (_csr("A.EXAMPLE", x509.DNSName("a.example")), "a.example", ""),
        (_csr("", x509.DNSName("b.example"), x509.DNSName("a.example")), "a.example,b.example", ""),
        (_csr("", x509.IPAddress(ipaddress.ip_address("192.0.2.1"))), "192.0.2.1", ""),
        (
            _csr("b.example", x509.DNSName("a.example")),
            "a.example,b.example",
            r"CSR Common Name should match 'domain' parameter. Domain 'a.example' - Common Name 'b.example'",
        ),
        (
            _csr("a.example", x509.DNSName("c.example")),
            "a.example,b.example",
            r"CSR Domains should match 'SAN' parameter. SAN: \[b.example\] - CSR domains: \[c.example\]",
        ),
        (_csr("a.example", x509.DNSName("b.example")), "a.example", r"SAN: \[\] - CSR domains: \[b.example\]"),
        (_csr("a.example"), "a.example,b.example", r"SAN: \[b.example\] - CSR domains: \[\]"),
    ],
)
def test_a_request_must_be_for_exactly_the_names_that_are_asked_for(csr: str, wanted: str, message: str) -> None:
    if not message:
        check_csr(parse_csr(csr), parse_san(wanted))
        return
    with pytest.raises(InvalidRequest, match=message):
        check_csr(parse_csr(csr), parse_san(wanted))


def test_facts_are_spelled_as_they_are_stored() -> None:
    names = x509.DNSName("*.example.org"), x509.IPAddress(ipaddress.ip_address("2001:db8::1"))
    facts = describe(_leaf(KEY, 0x0ABC, *names))
    assert (facts.encryption, facts.serial) == ("ECDSA-256", "abc")
    assert (facts.not_before, facts.not_after) == (START, START + timedelta(days=90))
    assert [str(name) for name in facts.names] == ["*.example.org", "2001:db8::1"]
    assert describe(_leaf(make_key(KeyType.RSA2048))).encryption == "RSA-2048"
    assert describe(_leaf(make_key(KeyType.EC384))).encryption == "ECDSA-384"
    with pytest.raises(ValueError, match="Unable to load PEM"):
        describe("no certificate")


def test_a_chain_is_split_behind_its_leaf_and_its_fingerprint_is_of_the_text() -> None:
    leaf, other = _leaf(), _leaf(serial=7)
    assert split_chain(leaf + other) == (leaf, other)
    assert split_chain(leaf) == (leaf, "")
    assert describe(leaf + other).serial == "abc"
    assert fingerprint(leaf) == hashlib.sha256(leaf.encode()).hexdigest()
    with pytest.raises(ValueError, match="no PEM certificate"):
        split_chain("")


def test_a_certificate_belongs_to_the_request_that_has_its_key() -> None:
    csr = make_csr(KEY, parse_san("a.example"))
    assert belong_together(_leaf() + _leaf(make_key(KeyType.EC256)), csr)
    assert not belong_together(_leaf(make_key(KeyType.EC256)), csr)
