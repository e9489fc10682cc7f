"""The certificate that a CA hands out: read, compared with what was asked for, and the preferred one of several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from acme_manager.domain.keys import belong_together, describe
from acme_manager.domain.names import Identifier

_LONGEST = 20
_LINK = re.compile(r'<([^>]*)>\s*;[^,]*?\brel="?alternate\b"?', re.IGNORECASE)


def read_chain(pem: bytes) -> str:
    """The chain as clean PEM, leaf first; what CAs write between the blocks is left out. Raises ValueError."""
    certificates = x509.load_pem_x509_certificates(pem)
    if len(certificates) > _LONGEST:
        raise ValueError(f"a chain of {len(certificates)} certificates")
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def root_name(chain: str) -> str:
    """The common name of whoever issued the topmost certificate of a chain."""
    top = x509.load_pem_x509_certificates(chain.encode())[-1]
    return "".join(str(part.value) for part in top.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[:1])


def alternates(links: Iterable[str]) -> Sequence[str]:
    """The URLs of other chains for the same leaf, from Link headers (RFC 8555 section 7.4.2)."""
    return [url for link in links for url in _LINK.findall(link)]


def mismatch(chain: str, csr: bytes, wanted: Sequence[Identifier]) -> str:
    """Why the leaf is not what was asked for, or nothing. Raises ValueError when it can't be read.

    Names that the CA has added are no mismatch: some always add one.
    """
    if not belong_together(chain, csr):
        return "the certificate is for another key than the signing request's"
    missing = set(wanted) - set(describe(chain).names)
    return f"the certificate lacks {', '.join(sorted(map(str, missing)))}" if missing else ""
