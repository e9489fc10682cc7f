"""One short text for the state of many certificates: two lists have the same exactly if they hold the same.

The server and the agent make it alike, so that an agent can say what it has seen, and be told when that is out of date.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from acme_manager.domain.certificate import Certificate

_BITS = 128


def weight(certificate: Certificate) -> int:
    """What a certificate adds to the digest: a number of its identity, what it is, and when its record changed.

    The sum does not depend on the order, and one that changes costs one hash, however many others there are.
    """
    facts = "\0".join((certificate.id.key, certificate.fingerprint, str(certificate.updated_at)))
    return int.from_bytes(hashlib.sha256(facts.encode(errors="replace")).digest()[: _BITS // 8], "big")


def digest_text(total: int) -> str:
    """The digest of certificates whose weights add up to `total`."""
    return f"{total % 2**_BITS:0{_BITS // 4}x}"


def digest_of(certificates: Iterable[Certificate]) -> str:
    """The digest of these certificates."""
    return digest_text(sum(map(weight, certificates)))
