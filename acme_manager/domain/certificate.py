"""What we know of a certificate, and how a record of it is spelled.

The field names and their order are those of the Go original's messages: they are at once the API's JSON, the metadata
that nodes share, and the secret in Vault. A field that has its zero value is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from acme_manager.domain.names import Identifier, parse_identifier, parse_san
from acme_manager.errors import InvalidRequest

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@attrs.frozen
class CertificateId:
    """Who owns it and what it is called. A `name` makes issuer and domain mere attributes."""

    owner: str
    issuer: str = ""
    domain: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """`owner/name`, or `owner/issuer/domain`: the same below the prefix in storage and in the shared map."""
        return f"{self.owner}/{self.name}" if self.name else f"{self.owner}/{self.issuer}/{self.domain}"

    def __str__(self) -> str:
        return self.key


@attrs.frozen(kw_only=True)
class Certificate:
    """The public facts about a certificate. Times are Go's text (gotime.py), `*_at` are Unix milliseconds."""

    domain: str = ""
    issuer: str = ""
    bundle: bool = False
    san: str = ""
    days: int = 0
    renewal_days: str = ""
    renewal_date: str = ""
    dns_challenge: str = ""
    http_challenge: str = ""
    expires: str = ""
    fingerprint: str = ""
    owner: str = ""
    csr: str = ""
    labels: str = ""
    encryption: str = ""
    serial: str = ""
    key_type: str = ""
    profile: str = ""
    updated_at: int = 0
    deleted_at: int = 0
    renewal_count: int = 0
    name: str = ""
    issued_at: int = 0  # when it was made, by our clock; 0 in records of the Go original
    issued_by: str = ""  # the issuer that stood in for `issuer`; empty where none did

    @property
    def id(self) -> CertificateId:
        """The identity under which it is kept."""
        return CertificateId(self.owner, self.issuer, self.domain, self.name)

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        """Every name it vouches for, the main one first. Raises InvalidRequest for a foreign record."""
        return tuple(dict.fromkeys((parse_identifier(self.domain), *parse_san(self.san))))


@attrs.frozen(kw_only=True)
class StoredCertificate:
    """The secret in storage. `private_key` is there only when the server made the key."""

    certificate: Certificate
    cert: str = attrs.field(default="", repr=False)
    ca_issuer: str = attrs.field(default="", repr=False)
    url: str = ""
    private_key: str = attrs.field(default="", repr=False)


_converter = Converter()
_converter.register_unstructure_hook(
    Certificate, make_dict_unstructure_fn(Certificate, _converter, _cattrs_omit_if_default=True)
)
# Records come from other programs and versions too: what we don't know is ignored, what is missing is zero.
_converter.register_structure_hook(
    Certificate, make_dict_structure_fn(Certificate, _converter, _cattrs_forbid_extra_keys=False)
)


def certificate_to_json(certificate: Certificate) -> dict[str, Any]:
    """The metadata record."""
    record: dict[str, Any] = _converter.unstructure(certificate)
    return record


def certificate_from_json(record: Mapping[str, Any]) -> Certificate:
    """Read a metadata record. Raises ValueError when a field can't be read."""
    try:
        return _converter.structure({key: value for key, value in record.items() if value is not None}, Certificate)
    except Exception as error:
        raise ValueError(f"no certificate record: {error}") from error


def stored_to_json(stored: StoredCertificate) -> dict[str, Any]:
    """The secret: the metadata inlined, and `cert`, `ca_issuer`, `url` always present."""
    record = certificate_to_json(stored.certificate)
    record |= {"cert": stored.cert, "ca_issuer": stored.ca_issuer, "url": stored.url}
    if stored.private_key:
        record["private_key"] = stored.private_key
    return record


def stored_from_json(record: Mapping[str, Any]) -> StoredCertificate:
    """Read a secret that we or the Go original wrote. Raises ValueError."""
    return StoredCertificate(
        certificate=certificate_from_json(record),
        **{part: str(record.get(part) or "") for part in ("cert", "ca_issuer", "url", "private_key")},
    )


def split_labels(text: str) -> dict[str, str]:
    """Read `k=v,k2=v2`; an element without exactly one `=` is ignored (as in Go). Names may be anything."""
    return dict(part.strip().split("=") for part in text.split(",") if part.count("=") == 1)


def parse_labels(text: str) -> dict[str, str]:
    """`split_labels` for labels that are to be kept. Raises InvalidRequest for names that Prometheus could not take."""
    labels = split_labels(text)
    wrong = [
        f"invalid Label Name '{name}'. Must match the regex '^[a-zA-Z_][a-zA-Z0-9_]*$'"
        for name in labels
        if not _LABEL_NAME.fullmatch(name)
    ]
    # Prometheus keeps names with two leading underscores to itself; one of them breaks every scrape.
    wrong += [
        f"invalid Label Name '{name}'. Names that begin with '__' are reserved"
        for name in labels
        if name.startswith("__")
    ]
    if wrong:
        raise InvalidRequest(f"[{' '.join(wrong)}]", "labels")
    return labels
