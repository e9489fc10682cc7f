from __future__ import annotations

import io
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from acme_manager.dev.folder import Folder
from acme_manager.dev.welcome import Places, banner, describe, trail
from acme_manager.domain.certificate import CertificateId
from acme_manager.ports import Step

OURS = CertificateId("dev", "dev", "demo.example.test")
OTHER = CertificateId("dev", "dev", "other.example.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def places(*, kept: bool) -> Places:
    return Places(
        url="http://127.0.0.1:1",
        bearer="TOKEN==",
        api_key="KEY",
        ca_directory="http://127.0.0.1:2/directory",
        folder=Folder(Path("/data"), -1, kept=kept),
    )


def issue_two_steps(out: io.StringIO) -> str:
    with trail("demo.example.test", out) as shown:
        shown.see(OURS, Step.ORDERED)
        shown.see(OTHER, Step.ORDERED)
        shown.see(OURS, Step.ISSUED)
    return out.getvalue()


def test_elsewhere_than_on_a_terminal_every_step_has_its_line() -> None:
    lines = issue_two_steps(io.StringIO()).splitlines()
    assert [line.split(" ")[:2] for line in lines] == [
        ["demo.example.test:", "ordered"],
        ["demo.example.test:", "issued"],
    ]


def test_on_a_terminal_one_line_grows() -> None:
    text = issue_two_steps(Terminal())
    assert text.count("\n") == 1
    assert text.endswith("\n")
    last = text.rpartition("\r\x1b[K")[2]
    assert "ordered" in last
    assert " > issued" in last


def test_the_growing_line_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    for line in issue_two_steps(Terminal()).rstrip("\n").split("\r\x1b[K"):
        assert len(line) < 30
    assert "> issued, " in line


def test_a_trail_without_steps_leaves_no_empty_line() -> None:
    out = Terminal()
    with trail("demo.example.test", out):
        pass
    assert not out.getvalue()


def test_the_banner_says_what_becomes_of_the_data() -> None:
    assert "thrown away" in banner(places(kept=False))
    assert "kept for the next run" in banner(places(kept=True))


def test_the_curl_lines_are_whole_shell_commands() -> None:
    lines = [line.strip() for line in banner(places(kept=True)).splitlines() if line.strip().startswith("curl ")]
    issue, read = map(shlex.split, lines)
    assert "http://127.0.0.1:1/api/v1/certificate" in issue
    assert '{"domain": "www.example.test", "issuer": "dev"}' in issue
    assert "Authorization: Bearer TOKEN==" in issue
    assert "http://127.0.0.1:1/api/v1/certificate/dev/www.example.test" in read


def test_a_certificate_is_described_by_names_issuer_and_expiry() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    begin = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A root")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.test"), x509.DNSName("*.a.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    text = describe(certificate.public_bytes(serialization.Encoding.PEM).decode())
    assert "a.test, *.a.test" in text
    assert "A root" in text
    assert "2026-02-01 03:04 UTC" in text
