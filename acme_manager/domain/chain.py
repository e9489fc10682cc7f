"""What the certificates of a chain say about themselves, for people who look at one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, SignatureAlgorithmOID

from acme_manager.domain.keys import encryption

E = TypeVar("E", bound=x509.ExtensionType)


@attrs.frozen(kw_only=True)
class Link:
    """One certificate of a chain. Names of people and CAs are as in RFC 4514, ids and serials plain lower-case hex.

    `key` reads `ECDSA-256`, `signature` like `ECDSA with SHA384`, `usages` are those of the extended key usage
    (RFC 5280 section 4.2.1.12) like `server auth`; `timestamps` counts the SCTs in it (RFC 6962).
    """

    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]  # the alternative ones, of any kind
    key: str
    signature: str
    fingerprint: str  # SHA-256 of the certificate itself, as browsers and `openssl x509 -fingerprint` show it
    ca: bool
    key_id: str
    issuer_key_id: str
    usages: tuple[str, ...]
    crl_urls: tuple[str, ...]
    ocsp_urls: tuple[str, ...]
    issuer_urls: tuple[str, ...]  # where the certificate of its issuer lies
    timestamps: int


def describe_chain(pem: str) -> Sequence[Link]:
    """Read every certificate of a PEM text, in its order. Raises ValueError."""
    try:
        return [_link(one) for one in x509.load_pem_x509_certificates(pem.encode())]
    except (UnsupportedAlgorithm, x509.UnsupportedGeneralNameType, x509.DuplicateExtension, TypeError) as error:
        raise ValueError(f"the certificate can't be read: {error}") from error


def _link(one: x509.Certificate) -> Link:
    constraints = _extension(one, x509.BasicConstraints)
    subject, authority = _extension(one, x509.SubjectKeyIdentifier), _extension(one, x509.AuthorityKeyIdentifier)
    access = list(_extension(one, x509.AuthorityInformationAccess) or ())
    points = [point.full_name or () for point in _extension(one, x509.CRLDistributionPoints) or ()]
    return Link(
        subject=one.subject.rfc4514_string(),
        issuer=one.issuer.rfc4514_string(),
        serial=f"{one.serial_number:x}",
        not_before=one.not_valid_before_utc,
        not_after=one.not_valid_after_utc,
        names=tuple(_text(name) for name in _extension(one, x509.SubjectAlternativeName) or ()),
        key=encryption(one.public_key()),
        signature=_name_of(one.signature_algorithm_oid, SignatureAlgorithmOID),
        fingerprint=one.fingerprint(hashes.SHA256()).hex(),
        ca=constraints is not None and constraints.ca,
        key_id=subject.digest.hex() if subject else "",
        issuer_key_id=(authority.key_identifier or b"").hex() if authority else "",
        usages=tuple(
            _name_of(usage, ExtendedKeyUsageOID).lower() for usage in _extension(one, x509.ExtendedKeyUsage) or ()
        ),
        crl_urls=tuple(_urls(name for names in points for name in names)),
        ocsp_urls=tuple(_urls(_places(access, AuthorityInformationAccessOID.OCSP))),
        issuer_urls=tuple(_urls(_places(access, AuthorityInformationAccessOID.CA_ISSUERS))),
        timestamps=len(_extension(one, x509.PrecertificateSignedCertificateTimestamps) or ()),
    )


def _extension(one: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return one.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _places(access: Iterable[x509.AccessDescription], method: x509.ObjectIdentifier) -> Iterator[x509.GeneralName]:
    return (one.access_location for one in access if one.access_method == method)


def _urls(names: Iterable[x509.GeneralName]) -> Iterator[str]:
    return (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))


def _text(name: x509.GeneralName) -> str:
    return name.value.rfc4514_string() if isinstance(name.value, x509.Name) else str(name.value)


def _name_of(oid: x509.ObjectIdentifier, names: type) -> str:
    """The library's name of it, with spaces; else the dotted numbers."""
    known = next((name for name, value in vars(names).items() if value == oid), oid.dotted_string)
    return known.replace("_WITH_", " with ").replace("_", " ")
