"""Installing a version: all files at once, over whatever was there before."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from acme_manager.client.install import InstallRefused, NewFile, Ownership, check_together, install, remove, roll_back
from acme_manager.client.layout import Paths, paths_of
from acme_manager.client.model import Common
from acme_manager.domain.keys import KeyType, key_to_pem, make_key


def paths(folder: Path, identity: str = "ca/example.com") -> Paths:
    return paths_of(Common(certificate_dir=folder), identity)


def files(at: Paths, text: str, *, chain: bool = True) -> list[NewFile]:
    publics = [at.certificate, at.key, *([at.chain] if chain else [])]
    return [NewFile(public=public, content=f"{text} {public.suffix}".encode(), mode=0o640) for public in publics]


def put(at: Paths, text: str, *, chain: bool = True) -> None:
    install(at, files(at, text, chain=chain), Ownership(), folder_mode=0o700)


def test_the_public_names_show_the_newest_version_with_its_modes(tmp_path: Path) -> None:
    at = paths(tmp_path)
    for text in ("one", "two", "three"):
        put(at, text)
        assert at.certificate.read_text() == f"{text} .crt"
        assert at.key.read_text() == f"{text} .key"
    assert at.key.stat().st_mode & 0o777 == 0o640
    assert at.certificate.is_symlink()
    assert sorted(one.name for one in at.versions.iterdir()) == ["2", "3", "current"]


def test_going_back_shows_all_files_of_the_version_before(tmp_path: Path) -> None:
    at = paths(tmp_path)
    put(at, "one")
    assert not roll_back(at)
    put(at, "two")
    assert roll_back(at)
    assert (at.certificate.read_text(), at.key.read_text()) == ("one .crt", "one .key")
    put(at, "three")
    assert at.key.read_text() == "three .key"
    assert roll_back(at)
    assert at.key.read_text() == "one .key"  # not the version that was given up


def test_plain_files_become_a_version_to_go_back_to(tmp_path: Path) -> None:
    at = paths(tmp_path)
    at.certificate.parent.mkdir()
    at.certificate.write_text("by the Go original")
    at.key.write_text("its key")
    at.key.chmod(0o600)
    put(at, "new")
    assert at.key.read_text() == "new .key"
    assert roll_back(at)
    assert (at.certificate.read_text(), at.key.read_text()) == ("by the Go original", "its key")
    assert at.key.stat().st_mode & 0o777 == 0o600


def test_a_file_that_somebody_put_over_a_link_is_replaced_and_can_be_gone_back_to(tmp_path: Path) -> None:
    at = paths(tmp_path)
    put(at, "one")
    at.certificate.unlink()
    at.certificate.write_text("by hand")
    put(at, "two")
    assert at.certificate.read_text() == "two .crt"
    assert roll_back(at)
    assert (at.certificate.read_text(), at.key.read_text()) == ("by hand", "one .key")


def test_a_name_that_is_no_longer_needed_goes(tmp_path: Path) -> None:
    at = paths(tmp_path)
    put(at, "one")
    put(at, "two", chain=False)
    assert not at.chain.is_symlink()
    assert not at.chain.exists()


def test_a_certificate_named_like_an_issuer_has_versions_of_its_own(tmp_path: Path) -> None:
    named, other = paths(tmp_path, "ca"), paths(tmp_path, "ca/example.com")
    put(named, "named")
    put(other, "other")
    put(named, "newer")
    assert (named.key.read_text(), other.key.read_text()) == ("newer .key", "other .key")
    remove(named)
    assert other.key.read_text() == "other .key"


def test_only_links_of_ours_are_removed(tmp_path: Path) -> None:
    at = paths(tmp_path)
    put(at, "one")
    at.key.unlink()
    at.key.write_text("by hand")
    assert remove(at) == [at.certificate, at.chain]
    assert at.key.read_text() == "by hand"
    assert not at.versions.exists()


def test_a_version_that_can_not_be_written_changes_nothing_and_says_why(tmp_path: Path) -> None:
    at = paths(tmp_path)
    put(at, "one")
    with pytest.raises(InstallRefused, match="no-such-user"):
        install(at, files(at, "two"), Ownership(owner="no-such-user"), folder_mode=0o700)
    assert at.certificate.read_text() == "one .crt"
    put(at, "three")
    assert at.certificate.read_text() == "three .crt"


def test_a_name_that_can_not_be_had_changes_nothing_that_is_shown(tmp_path: Path) -> None:
    at = paths(tmp_path)
    put(at, "one", chain=False)
    at.chain.mkdir()
    with pytest.raises(InstallRefused, match="directory"):
        put(at, "two")
    assert (at.certificate.read_text(), at.key.read_text()) == ("one .crt", "one .key")
    at.chain.rmdir()
    put(at, "three")
    assert at.chain.read_text() == "three .crt"


def test_folders_have_the_mode_that_is_asked_for(tmp_path: Path) -> None:
    at = paths(tmp_path / "certificates")
    before = os.umask(0o077)
    try:
        install(at, files(at, "one"), Ownership(), folder_mode=0o755)
    finally:
        os.umask(before)
    folders = [
        at.certificate.parent.parent,
        at.certificate.parent,
        at.versions.parent,
        at.versions,
        at.current.resolve(),
    ]
    assert {one.stat().st_mode & 0o777 for one in folders} == {0o755}


def test_what_was_cut_short_is_cleared_away(tmp_path: Path) -> None:
    at = paths(tmp_path)
    put(at, "one")
    (at.versions / ".new-2").mkdir()
    (at.versions / ".new-2" / "example.com.key").write_text("half")
    put(at, "two")
    assert not (at.versions / ".new-2").exists()


def _signed(subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey) -> str:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    built = x509.CertificateBuilder(
        subject_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]),
        issuer_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now,
        not_valid_after=now + timedelta(days=9),
    )
    return built.sign(by, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def test_key_certificate_and_chain_must_belong_together() -> None:
    leaf_key, ca_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    leaf, ca = _signed("leaf", leaf_key, "ca", ca_key), _signed("ca", ca_key, "ca", ca_key)
    key = key_to_pem(leaf_key)
    check_together(leaf, ca, key)
    check_together(leaf + ca, "", key)
    check_together(leaf + ca, ca, key)
    with pytest.raises(InstallRefused, match="another key"):
        check_together(leaf, ca, key_to_pem(make_key(KeyType.EC256)))
    with pytest.raises(InstallRefused, match="not signed by"):
        check_together(leaf, _signed("ca", leaf_key, "ca", leaf_key), key)
    with pytest.raises(InstallRefused, match="can't be read"):
        check_together(leaf, ca, "no key")
