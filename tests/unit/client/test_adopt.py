"""Certificates of other programs are found by what is in their files, installed, and kept until they are due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from acme_manager.client.adopt import Finding, ImportRefused, adopt, find, suggestion
from acme_manager.client.keys import made_for, new_key, read_key
from acme_manager.client.layout import paths_of
from acme_manager.client.model import ClientConfig, Common, Wanted
from acme_manager.client.observe import Subject, observe
from acme_manager.client.plan import Action, Situation, plan
from acme_manager.domain.keys import fingerprint

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ROOT_KEY, CA_KEY, KEY, OTHER_KEY = (new_key("ec256") for _ in range(4))
NAMES = ("example.com", "www.example.com")


def made(names: tuple[str, ...], key: str, *, by: tuple[str, str], begins: datetime, ca: bool = False) -> str:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, text)])

    issuer, issuer_key = by
    public, ends = read_key(key).public_key(), begins + timedelta(days=90)
    builder = x509.CertificateBuilder(name(issuer), name(names[0]), public, 1, begins, ends)
    if not ca:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(read_key(issuer_key), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


ROOT = made(("Root",), ROOT_KEY, by=("Root", ROOT_KEY), begins=NOW, ca=True)
CA = made(("Some CA",), CA_KEY, by=("Root", ROOT_KEY), begins=NOW, ca=True)


def leaf(key: str = KEY, *, age: int = 10, names: tuple[str, ...] = NAMES) -> str:
    return made(names, key, by=("Some CA", CA_KEY), begins=NOW - timedelta(days=age))


OLD, NEW = leaf(OTHER_KEY, age=70), leaf()


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def certbot(folder: Path) -> str:
    """As certbot 2 leaves them: `live` has links to what is in use, `archive` everything."""
    for number, (certificate, key) in enumerate([(OLD, OTHER_KEY), (NEW, KEY)], start=1):
        parts = {"cert": certificate, "chain": CA, "fullchain": certificate + CA, "privkey": key}
        write(folder, {f"archive/example.com/{name}{number}.pem": text for name, text in parts.items()})
    live = folder / "live" / "example.com"
    live.mkdir(parents=True)
    for name in ("cert", "chain", "fullchain", "privkey"):
        (live / f"{name}.pem").symlink_to(f"../../archive/example.com/{name}2.pem")
    write(
        folder,
        {
            "live/README": "This directory contains your keys and certificates.",
            "renewal/example.com.conf": "version = 2.1.0\nprivkey = /etc/letsencrypt/live/example.com/privkey.pem\n",
            "accounts/acme-v02.api.letsencrypt.org/directory/1/private_key.json": '{"kty": "RSA"}',
        },
    )
    return "live/example.com/cert.pem"


def lego(folder: Path) -> str:
    """As lego 4 leaves them: the chain behind the leaf, and once more beside it."""
    write(
        folder,
        {
            "accounts/ca/me/keys/me.key": new_key("ec256"),
            "certificates/example.com.crt": NEW + "\n" + CA,
            "certificates/example.com.issuer.crt": CA,
            "certificates/example.com.key": KEY,
            "certificates/example.com.json": '{"domain": "example.com"}',
            "archives/example.com.crt": OLD + CA,
            "archives/example.com.key": OTHER_KEY,
        },
    )
    return "certificates/example.com.crt"


def acme_sh(folder: Path) -> str:
    """As acme.sh 3 leaves them; openssl writes the curve in front of the key."""
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    write(
        folder,
        {
            "account.conf": "LOG_FILE=''\n",
            "ca/acme/account.key": new_key("rsa2048"),
            "example.com_ecc/example.com.cer": NEW,
            "example.com_ecc/example.com.key": parameters + KEY,
            "example.com_ecc/example.com.conf": "Le_Domain='example.com'\n",
            "example.com_ecc/example.com.csr": "-----BEGIN CERTIFICATE REQUEST-----\n",
            "example.com_ecc/ca.cer": CA + ROOT,
            "example.com_ecc/fullchain.cer": NEW + CA,
        },
    )
    return "example.com_ecc/example.com.cer"


@pytest.mark.parametrize("program", [certbot, lego, acme_sh])
def test_what_other_programs_have_is_found(tmp_path: Path, program: Callable[[Path], str]) -> None:
    source = program(tmp_path)
    finding = find(tmp_path)
    assert finding.troubles == ()
    [found] = finding.found.values()
    assert (found.certificate, found.chain) == (NEW, CA)
    assert made_for(found.key, found.certificate)
    assert found.names == frozenset(NAMES)
    assert found.source == tmp_path / source
    assert found.authority == "Some CA"


def test_certbots_folder_of_links_is_enough(tmp_path: Path) -> None:
    certbot(tmp_path)
    [found] = find(tmp_path / "live").found.values()
    assert (found.certificate, found.chain) == (NEW, CA)


def test_what_can_not_be_read_is_said_and_stops_nothing(tmp_path: Path) -> None:
    lego(tmp_path)
    secret = (
        read_key(OTHER_KEY).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
    )
    write(tmp_path, {"locked.key": secret, "broken.crt": "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"})
    write(tmp_path, {"huge.pem": NEW * 400, "no-key.crt": leaf(new_key("ec256"), names=("lost.example",))})
    finding = find(tmp_path)
    assert len(finding.found) == 1
    assert {Path(one.partition(":")[0]).name for one in finding.troubles} == {"locked.key", "broken.crt"}
    with pytest.raises(ImportRefused, match="is no folder"):
        find(tmp_path / "huge.pem")


@pytest.fixture
def finding(tmp_path: Path) -> Finding:
    lego(tmp_path / "lego")
    return find(tmp_path / "lego")


@pytest.fixture
def config(tmp_path: Path) -> ClientConfig:
    common = Common(certificate_dir=tmp_path / "certificates", certificate_deploy=True)
    return ClientConfig(
        common=common,
        certificates=(Wanted(domain="www.example.com", san="example.com", issuer="ca", key_type="ec256"),),
    )


IDENTITY = "ca/www.example.com"


def test_what_is_configured_is_installed_and_not_ordered_until_it_is_due(
    finding: Finding, config: ClientConfig
) -> None:
    [one] = adopt(config, finding, NOW, taken=())
    entry = one.entry
    assert entry is not None
    assert entry.imported is not None
    assert not entry.ours
    assert paths_of(config.common, IDENTITY).key.read_text() == KEY
    assert adopt(config, finding, NOW, taken=())[0].entry == entry

    def planned(config: ClientConfig, days: float) -> Action:
        [wanted] = config.certificates
        disk = observe(config.common, Subject(identity=IDENTITY, wanted=wanted, entry=entry))
        now = (NOW + timedelta(days=days)).timestamp()
        [step] = plan(Situation(config=config, server={}, disk={IDENTITY: disk}, record={IDENTITY: entry}, now=now))
        if step.action is Action.KEEP:
            assert "valid until 2027-02-12; a new one will be ordered on 2027-01-" in step.reason
        return step.action

    assert planned(config, 49) is Action.KEEP
    assert planned(config, 61) is Action.CREATE
    [wanted] = config.certificates
    for other in (attrs.evolve(wanted, san=""), attrs.evolve(wanted, key_type="rsa2048")):
        assert planned(attrs.evolve(config, certificates=(other,)), 0) is Action.CREATE
    paths_of(config.common, IDENTITY).key.unlink()
    assert planned(config, 0) is Action.CREATE


def test_a_bundle_has_the_chain_behind_the_leaf(finding: Finding, config: ClientConfig) -> None:
    bundle = attrs.evolve(config, certificates=(attrs.evolve(config.certificates[0], bundle=True),))
    [one] = adopt(bundle, finding, NOW, taken=())
    paths = paths_of(config.common, IDENTITY)
    assert paths.certificate.read_text() == NEW + CA
    assert not paths.chain.exists()
    assert one.entry is not None
    assert one.entry.fingerprint == fingerprint(NEW + CA)


def test_what_is_there_already_stays_as_it_is(finding: Finding, config: ClientConfig) -> None:
    paths = paths_of(config.common, IDENTITY)
    [one] = adopt(config, finding, NOW, taken=[IDENTITY])
    assert (one.entry, one.why) == (None, "the server has it already")
    [one] = adopt(config, finding, NOW + timedelta(days=61), taken=())
    assert "due for renewal" in one.why
    assert not paths.certificate.exists()
    write(paths.certificate.parent, {paths.certificate.name: OLD})
    [one] = adopt(config, finding, NOW, taken=())
    assert "there is another certificate" in one.why
    assert paths.certificate.read_text() == OLD
    [one] = adopt(attrs.evolve(config, common=Common()), finding, NOW, taken=())
    assert "certificate_deploy" in one.why


def test_what_is_not_configured_is_suggested(finding: Finding, config: ClientConfig) -> None:
    assert suggestion(config, finding) == ""
    text = suggestion(attrs.evolve(config, certificates=()), finding)
    assert yaml.safe_load(text) == [
        {"domain": "example.com", "issuer": "CHANGE-ME", "key_type": "ec256", "san": "www.example.com"}
    ]
    assert "by Some CA, valid until 2027-02-12" in text
