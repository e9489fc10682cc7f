"""Secrets as storage has them, of certificates of any age: no CA would issue them."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from acme_manager.domain.certificate import Certificate, StoredCertificate, stored_to_json
from acme_manager.domain.gotime import format_time
from acme_manager.domain.keys import describe

DAY = timedelta(days=1)

_KEY = ec.generate_private_key(ec.SECP256R1())
_serials = itertools.count(0xA0)


def pem(left: timedelta, life: timedelta = 90 * DAY, *, now: datetime) -> str:
    """A certificate that has so much time left."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(_KEY.public_key())
        .serial_number(next(_serials))
        .not_valid_before(now + left - life)
        .not_valid_after(now + left)
        .sign(_KEY, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )


def secret(days: float, *, now: datetime, **facts: Any) -> dict[str, Any]:
    """What storage has of a certificate with so many days left."""
    cert = facts.pop("cert", None) or pem(days * DAY, now=now)
    found = describe(cert)
    certificate = Certificate(
        **{
            "owner": "alice",
            "issuer": "test",
            "domain": "www.example.com",
            "expires": format_time(found.not_after),
            "renewal_date": format_time(found.not_after - 25 * DAY),
            "serial": found.serial,
            **facts,
        }
    )
    return stored_to_json(StoredCertificate(certificate=certificate, cert=cert, url="https://ca.test/1"))
