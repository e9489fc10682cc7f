from __future__ import annotations

import subprocess
from pathlib import Path

import attrs
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization import pkcs12 as reader

from acme_manager.domain.bundle_files import Parts, file_name, pkcs12_of
from acme_manager.domain.certificate import Certificate, StoredCertificate
from acme_manager.domain.keys import key_to_pem
from acme_manager.errors import InvalidRequest

CA = trustme.CA(organization_name="Root")
ISSUED = CA.issue_cert("*.example.com")
STORED = StoredCertificate(
    certificate=Certificate(owner="alice", issuer="test", domain="*.example.com"),
    cert=ISSUED.cert_chain_pems[0].bytes().decode(),
    ca_issuer=CA.cert_pem.bytes().decode(),
    private_key=key_to_pem(load_pem_private_key(ISSUED.private_key_pem.bytes(), None)),  # type: ignore[arg-type]
)


def test_pkcs12_has_the_key_that_the_server_made_and_the_chain() -> None:
    found = reader.load_pkcs12(pkcs12_of(STORED, "päss"), "päss".encode())
    assert found.key is not None
    assert key_to_pem(found.key) == STORED.private_key  # type: ignore[arg-type]
    assert found.cert is not None
    assert found.cert.friendly_name == b"*.example.com"
    chain = [one.certificate.public_bytes(Encoding.PEM).decode() for one in found.additional_certs]
    assert chain == [STORED.ca_issuer]
    with pytest.raises(ValueError, match="password"):
        reader.load_pkcs12(pkcs12_of(STORED, "right"), b"wrong")


def test_openssl_sees_aes_256_and_a_sha_256_mac_in_pkcs12(tmp_path: Path) -> None:
    (tmp_path / "it.p12").write_bytes(pkcs12_of(STORED, "secret"))
    command = ["openssl", "pkcs12", "-info", "-noout", "-in", str(tmp_path / "it.p12"), "-passin", "pass:secret"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "MAC: sha256" in told
    assert told.count("PBES2, PBKDF2, AES-256-CBC") == 2


@pytest.mark.parametrize(
    ("stored", "password", "words"),
    [
        (attrs.evolve(STORED, private_key=""), "secret", "its key was made on its host"),
        (STORED, "", "1 to 256 characters"),
        (STORED, "x" * 257, "1 to 256 characters"),
        (attrs.evolve(STORED, private_key="no key"), "secret", "can't be read"),
        (attrs.evolve(STORED, cert="no certificate", ca_issuer=""), "secret", "can't be read"),
    ],
)
def test_no_pkcs12_is_made_without_key_or_password(stored: StoredCertificate, password: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        pkcs12_of(stored, password)


def test_a_full_chain_has_each_certificate_once() -> None:
    bundle = attrs.evolve(STORED, cert=STORED.cert + STORED.ca_issuer)
    assert Parts.of(STORED).fullchain == Parts.of(bundle).fullchain == STORED.cert + STORED.ca_issuer


@pytest.mark.parametrize(
    ("domain", "name", "expected"),
    [
        ("*.example.com", "", "_.example.com.p12"),
        ("2001:db8::1", "", "2001_db8__1.p12"),
        ("example.com", "web", "web.p12"),
        ("example.com", '../..\r\n"x', "_..___x.p12"),
    ],
)
def test_a_downloads_name_is_safe(domain: str, name: str, expected: str) -> None:
    assert file_name(Certificate(domain=domain, name=name), ".p12") == expected
