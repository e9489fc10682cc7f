"""Private keys, signing requests and what a certificate says about itself.

Everything here computes and returns; nothing asks the network. RSA keys take up to seconds to make: run `make_key` in
a thread for a type that is `slow` (the library lets other threads run meanwhile).
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from acme_manager.domain.names import Identifier, IdentifierType, parse_identifier
from acme_manager.errors import InvalidRequest

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_RSA_MINIMUM = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_LONGEST_COMMON_NAME = 64  # RFC 5280, appendix A.1: ub-common-name
_FIRST_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


class KeyType(enum.StrEnum):
    """The keys that we make."""

    RSA2048 = "RSA2048"
    RSA3072 = "RSA3072"
    RSA4096 = "RSA4096"
    EC256 = "EC256"
    EC384 = "EC384"

    @property
    def slow(self) -> bool:
        """Whether making one takes long enough to hold up everything else."""
        return self.startswith("RSA")


DEFAULT_KEY_TYPE = KeyType.EC256


def parse_key_type(text: str, where: str = "key_type") -> KeyType:
    """Read a key type in any case. Raises InvalidRequest.

    The Go original also knows RSA8192; making one takes minutes and public CAs refuse it: bring a CSR instead.
    """
    try:
        return KeyType(text.upper())
    except ValueError:
        hint = "; for an RSA8192 key send a 'csr' of your own" if text.upper() == "RSA8192" else ""
        known = ", ".join(KeyType)
        raise InvalidRequest(f"invalid '{where}' parameter: '{text}' is none of {known}{hint}", where) from None


def make_key(key_type: KeyType) -> PrivateKey:
    """Make a key; see `KeyType.slow`."""
    if key_type.slow:
        return rsa.generate_private_key(65537, int(key_type.removeprefix("RSA")))
    return ec.generate_private_key(ec.SECP256R1() if key_type is KeyType.EC256 else ec.SECP384R1())


def key_to_pem(key: PrivateKey) -> str:
    """Unencrypted PKCS#8, which every server reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def make_csr(key: PrivateKey, identifiers: Sequence[Identifier]) -> bytes:
    """A signing request in DER for these names. The common name is the first DNS name that fits into one."""
    common = next(
        (one.value for one in identifiers if one.type is IdentifierType.DNS and len(one.value) <= _LONGEST_COMMON_NAME),
        None,
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])
    names = x509.SubjectAlternativeName([_general_name(one) for one in identifiers])
    strong = isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256
    builder = x509.CertificateSigningRequestBuilder(subject).add_extension(names, critical=not common)
    request = builder.sign(key, hashes.SHA384() if strong else hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def _general_name(identifier: Identifier) -> x509.GeneralName:
    if identifier.type is IdentifierType.IP:
        return x509.IPAddress(ipaddress.ip_address(identifier.value))
    return x509.DNSName(identifier.value)


@attrs.frozen(kw_only=True)
class Csr:
    """A signing request that somebody gave us: its signature is good and its key is strong.

    `names` has the common name first, then the alternative names as they stand there, each once.
    """

    der: bytes = attrs.field(repr=False)
    common_name: str
    names: tuple[Identifier, ...]


def parse_csr(text: str, where: str = "csr") -> Csr:
    """Read base64 of a PEM signing request. Raises InvalidRequest, in the Go original's words where it had some."""
    try:
        pem = base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"invalid '{where}' parameter, bad format: {error}", where) from error
    try:
        request = x509.load_pem_x509_csr(pem)
        key, signed = request.public_key(), request.is_signature_valid
        common_name, names = _names_in(request.subject, _alternative_names(request), where)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.UnsupportedGeneralNameType) as error:
        raise InvalidRequest(f"invalid '{where}' parameter: {error}", where) from error
    if not signed:
        raise InvalidRequest(f"invalid '{where}' parameter: its signature is not of its own key", where)
    weak = _weakness(key)
    if weak:
        raise InvalidRequest(f"invalid '{where}' parameter: {weak}", where)
    if not names:
        raise InvalidRequest(f"invalid '{where}' parameter: it has neither a common name nor alternative names", where)
    return Csr(der=request.public_bytes(serialization.Encoding.DER), common_name=common_name, names=names)


def check_csr(csr: Csr, identifiers: Sequence[Identifier], where: str = "csr") -> None:
    """Raise InvalidRequest unless the request is for exactly these names, the first of them the main one."""
    domain, san = identifiers[0], identifiers[1:]
    if csr.common_name and _lower(csr.common_name) != domain.value:
        raise InvalidRequest(
            f"CSR Common Name should match 'domain' parameter. Domain '{domain}' - Common Name '{csr.common_name}'",
            where,
        )
    if set(csr.names) != set(identifiers):
        theirs = [one for one in csr.names if one != domain]
        raise InvalidRequest(
            f"CSR Domains should match 'SAN' parameter. SAN: {_listed(san)} - CSR domains: {_listed(theirs)}", where
        )


def _lower(name: str) -> str:
    try:
        return parse_identifier(name).value
    except InvalidRequest:
        return name.lower()


def _listed(names: Iterable[Identifier]) -> str:
    return f"[{' '.join(map(str, names))}]"


def _alternative_names(of: x509.CertificateSigningRequest | x509.Certificate) -> Sequence[x509.GeneralName]:
    try:
        return list(of.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _names_in(
    subject: x509.Name, alternatives: Sequence[x509.GeneralName], where: str
) -> tuple[str, tuple[Identifier, ...]]:
    common = [str(part.value) for part in subject.get_attributes_for_oid(NameOID.COMMON_NAME)][:1]
    texts = [*common]
    for name in alternatives:
        if not isinstance(name, x509.DNSName | x509.IPAddress):
            raise ValueError(f"it asks for a name that is neither a domain nor an IP address: {name.value}")
        texts.append(str(name.value))
    return "".join(common), tuple(dict.fromkeys(parse_identifier(text, where) for text in texts))


def _weakness(key: object) -> str:
    """What is wrong with a public key, or nothing."""
    match key:
        case rsa.RSAPublicKey():
            enough = key.key_size >= _RSA_MINIMUM
            return "" if enough else f"its RSA key has {key.key_size} bits; at least {_RSA_MINIMUM} are needed"
        case ec.EllipticCurvePublicKey():
            known = isinstance(key.curve, _CURVES)
            return "" if known else f"its curve {key.curve.name} is none of P-256, P-384 and P-521"
        case ed25519.Ed25519PublicKey():
            return ""
    return "its key is none of RSA, ECDSA and Ed25519"


@attrs.frozen(kw_only=True)
class Facts:
    """What a leaf says about itself. `encryption` reads `ECDSA-256` or `RSA-2048`, `serial` is plain lower-case hex."""

    encryption: str
    serial: str
    not_before: datetime
    not_after: datetime
    names: tuple[Identifier, ...]


def describe(pem: str) -> Facts:
    """Read the first certificate of a PEM text. Raises ValueError."""
    leaf = x509.load_pem_x509_certificate(pem.encode())
    return Facts(
        encryption=encryption(leaf.public_key()),
        serial=f"{leaf.serial_number:x}",
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        names=tuple(
            parse_identifier(str(name.value))
            for name in _alternative_names(leaf)
            if isinstance(name, x509.DNSName | x509.IPAddress)
        ),
    )


def encryption(key: object) -> str:
    """A public key's kind and size: `ECDSA-256`, `RSA-2048`, `unknown-0`."""
    match key:
        case rsa.RSAPublicKey():
            return f"RSA-{key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"ECDSA-{key.key_size}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519-0"
    return "unknown-0"


def fingerprint(pem: str) -> str:
    """Hex SHA-256 of the PEM text as it is stored, so that clients can compare it with their file."""
    return hashlib.sha256(pem.encode()).hexdigest()


def split_chain(chain: str) -> tuple[str, str]:
    """The leaf, and everything behind it: both joined are the chain again. Raises ValueError."""
    found = _FIRST_BLOCK.match(chain)
    if found is None:
        raise ValueError("this is no PEM certificate")
    return found.group(), chain[found.end() :]


def belong_together(chain: str, csr: bytes) -> bool:
    """Whether the leaf of a PEM chain was made for the key of a signing request in DER. Raises ValueError."""
    leaf = x509.load_pem_x509_certificate(chain.encode())
    return _public_der(leaf) == _public_der(x509.load_der_x509_csr(csr))


def same_key(csr: str, other: str) -> bool:
    """Whether two signing requests, as callers send them, are for one key. Raises InvalidRequest."""
    first, second = (x509.load_der_x509_csr(parse_csr(one).der) for one in (csr, other))
    return _public_der(first) == _public_der(second)


def _public_der(of: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return of.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
