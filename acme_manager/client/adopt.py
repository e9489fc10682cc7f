"""Take over what certbot, lego, acme.sh or anybody else has got: no new order while it is good (`-import`).

Where such programs put their files differs and changes. So all PEM files below a folder are read, and what belongs
together is found by what is in them: a leaf by its key, its chain by signatures.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import attrs
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acme_manager.client.install import InstallRefused
from acme_manager.client.keys import key_type, read_key
from acme_manager.client.layout import VERSIONS
from acme_manager.client.model import ClientConfig, Common, Wanted
from acme_manager.client.record import Entry, Imported
from acme_manager.client.versions import Versions
from acme_manager.domain.bundle_files import Parts
from acme_manager.domain.keys import describe, fingerprint
from acme_manager.domain.names import parse_identifier, parse_san
from acme_manager.domain.renewal import draw, parse_window
from acme_manager.errors import AcmeManagerError, InvalidRequest

_LARGEST = 256 * 1024  # octets of a file
_MOST_FILES = 20_000
_LONGEST_CHAIN = 8
_KEY = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----\n?", re.DOTALL)


class ImportRefused(AcmeManagerError):
    """The folder can't be searched."""


@attrs.frozen(kw_only=True)
class Found:
    """A certificate whose key is there as well. All text is PEM."""

    names: frozenset[str]
    domain: str  # one of the names, without a wildcard if there is one
    certificate: str
    chain: str
    key: str = attrs.field(repr=False)
    not_before: datetime
    not_after: datetime
    authority: str  # who has issued it, in its own words
    source: Path


@attrs.frozen(kw_only=True)
class Finding:
    """The newest certificate of each set of names, and what could not be read."""

    found: Mapping[frozenset[str], Found]
    troubles: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Adopted:
    """What became of a configured certificate that was found: the entry for the record, or why there is none."""

    identity: str
    source: Path
    entry: Entry | None = None
    why: str = ""


def find(folder: Path) -> Finding:
    """Look through a folder and all below it. Raises ImportRefused."""
    if not folder.is_dir():
        raise ImportRefused(f"{folder} is no folder; give the one that certbot, lego or acme.sh keeps its files in")
    search = _Search()
    for number, file in enumerate(_files(folder)):
        if number == _MOST_FILES:
            raise ImportRefused(f"{folder} has more than {_MOST_FILES} files; give a folder that has certificates only")
        search.read(file)
    return Finding(found=search.newest(), troubles=tuple(search.troubles))


def adopt(config: ClientConfig, finding: Finding, now: datetime, *, taken: Collection[str]) -> list[Adopted]:
    """Install what was found for configured certificates that the server does not have; `taken` are those it has.

    What is due for renewal is left out: the next run orders it.
    """
    adopted = []
    for identity, wanted in config.wanted.items():
        found = finding.found.get(_names(wanted))
        if found is None:
            continue
        try:
            if identity in taken:
                raise InstallRefused("the server has it already")
            entry = _install(config.common, wanted, found, now)
            adopted.append(Adopted(identity=identity, source=found.source, entry=entry))
        except (InstallRefused, InvalidRequest) as error:
            adopted.append(Adopted(identity=identity, source=found.source, why=str(error)))
    return adopted


def suggestion(config: ClientConfig, finding: Finding) -> str:
    """Entries for client-config.yml, for what was found and is not configured; empty when there is nothing."""
    known = {_names(one) for one in config.certificates}
    texts = []
    for found in sorted(finding.found.values(), key=lambda one: one.domain):
        if found.names in known:
            continue
        entry = {"domain": found.domain, "issuer": "CHANGE-ME", "key_type": key_type(found.key)}
        others = sorted(found.names - {found.domain})
        if others:
            entry["san"] = ",".join(others)
        told = f"# {found.source}: by {found.authority}, valid until {found.not_after:%Y-%m-%d}\n"
        texts.append(told + yaml.safe_dump([entry], sort_keys=False, allow_unicode=True))
    return "".join(texts)


def _install(common: Common, wanted: Wanted, found: Found, now: datetime) -> Entry:
    """Raises InstallRefused, and InvalidRequest for a wrong renewal window."""
    if common.certificate_dir is None or not common.certificate_deploy:
        raise InstallRefused("no files are wanted here: set certificate_deploy and certificate_dir")
    window = parse_window(wanted.renewal_days or common.cert_days_renewal)
    order_from = draw(found.not_before, found.not_after, window, wanted.identity).at
    if order_from <= now:
        raise InstallRefused(f"it is due for renewal since {order_from:%Y-%m-%d}, so a new one is ordered")
    versions = Versions(common=common, identity=wanted.identity, wanted=wanted)
    certificate = found.certificate + found.chain if wanted.bundle else found.certificate
    installed = versions.installed().certificate
    if installed and not installed.startswith(found.certificate):
        raise InstallRefused(f"there is another certificate at {versions.paths.certificate}")
    files = versions.install(
        Parts(certificate=certificate, chain=found.chain, key=found.key), now, bundle=wanted.bundle
    )
    imported = Imported(
        source=str(found.source),
        names=tuple(sorted(found.names)),
        not_after=found.not_after.timestamp(),
        order_from=order_from.timestamp(),
    )
    return Entry(
        issuer=wanted.issuer,
        domain=wanted.domain,
        name=wanted.name,
        fingerprint=fingerprint(certificate),
        files=files,
        installed_at=now.timestamp(),
        imported=imported,
    )


class _Search:
    """Collects certificates and keys from files, and puts them together."""

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self._keys: dict[bytes, str] = {}  # by public key
        self._certificates: dict[x509.Certificate, Path] = {}

    def read(self, file: Path) -> None:
        """Take in a file, if it is one of PEM."""
        try:
            if file.stat().st_size > _LARGEST:
                return
            text = file.read_text(errors="replace")
            if "-----BEGIN CERTIFICATE-----" in text:
                for one in x509.load_pem_x509_certificates(text.encode()):
                    self._certificates.setdefault(one, file)
            for block in _KEY.finditer(text):
                key = read_key(block.group())
                self._keys[_public(key.public_key())] = block.group().rstrip() + "\n"
        except (OSError, ValueError) as error:
            self.troubles.append(f"{file}: {error}")

    def newest(self) -> dict[frozenset[str], Found]:
        """The newest of each set of names."""
        found: dict[frozenset[str], Found] = {}
        for leaf, source in self._certificates.items():
            key = self._keys.get(_public(leaf.public_key()))
            if key is None:
                continue
            try:
                one = self._found(leaf, key, source)
            except (ValueError, InvalidRequest) as error:
                self.troubles.append(f"{source}: {error}")
                continue
            before = found.get(one.names)
            if one.names and (before is None or before.not_before < one.not_before):
                found[one.names] = one
        return found

    def _found(self, leaf: x509.Certificate, key: str, source: Path) -> Found:
        pem = _pem(leaf)
        facts = describe(pem)
        names = [one.value for one in facts.names]
        organisation = leaf.issuer.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
        return Found(
            names=frozenset(names),
            domain=next((one for one in names if not one.startswith("*")), "".join(names[:1])),
            certificate=pem,
            chain="".join(map(_pem, self._chain(leaf))),
            key=key,
            not_before=facts.not_before,
            not_after=facts.not_after,
            authority=str(organisation[0].value) if organisation else leaf.issuer.rfc4514_string(),
            source=source,
        )

    def _chain(self, leaf: x509.Certificate) -> Iterator[x509.Certificate]:
        """What is between a leaf and its root."""
        one = leaf
        for _ in range(_LONGEST_CHAIN):
            issuer = next((other for other in self._certificates if _issued(one, other)), None)
            if issuer is None or issuer.subject == issuer.issuer:
                return
            yield issuer
            one = issuer


def _files(folder: Path) -> Iterator[Path]:
    """Links first: certbot's lead to what is in use."""
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if one != VERSIONS]
        files += [Path(place, name) for name in names if Path(place, name).is_file()]
    return iter(sorted(files, key=lambda one: (not one.is_symlink(), one)))


def _names(wanted: Wanted) -> frozenset[str]:
    try:
        return frozenset(one.value for one in (parse_identifier(wanted.domain), *parse_san(wanted.san)))
    except InvalidRequest:
        return frozenset()


def _issued(one: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
