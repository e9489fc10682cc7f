"""A store that has been in use for a while: many certificates, as the server writes them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from acme_manager.domain.certificate import Certificate, StoredCertificate, certificate_to_json, stored_to_json
from acme_manager.storage.keys import certificate_key
from acme_manager.structure import together
from tests.parts.openbao import CERTIFICATES, ENGINE, OpenBao

OWNERS = 40
_AT_ONCE = 8
_DAY = datetime(2026, 1, 1, tzinfo=UTC)


class Stock:
    """Makes secrets of 3 kB that differ in name, serial and fingerprint; the PEM text in all of them is the same."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stock.example.com")])
        names = x509.SubjectAlternativeName([x509.DNSName(f"alias-{number}.example.com") for number in range(8)])
        signed = (
            x509.CertificateBuilder(name, name, key.public_key(), 1, _DAY, _DAY + timedelta(days=90))
            .add_extension(names, critical=False)
            .sign(key, SHA256())
        )
        request = x509.CertificateSigningRequestBuilder(name).add_extension(names, critical=False).sign(key, SHA256())
        self._pem = signed.public_bytes(Encoding.PEM).decode()
        self._csr = base64.b64encode(request.public_bytes(Encoding.PEM)).decode()

    def secret(self, number: int) -> StoredCertificate:
        """One of them."""
        certificate = Certificate(
            domain=f"host-{number:06}.example.com",
            issuer="letsencrypt",
            bundle=True,
            days=90,
            renewal_days="30",
            renewal_date="2026-03-02 00:00:00 +0000 UTC",
            expires="2026-04-01 00:00:00 +0000 UTC",
            fingerprint=f"{number:040x}",
            owner=f"team-{number % OWNERS:02}",
            csr=self._csr,
            labels=f"team=team-{number % OWNERS:02},stage=production",
            serial=f"{number:032x}",
            key_type="ec256",
            updated_at=1_767_225_600_000 + number,
        )
        return StoredCertificate(
            certificate=certificate, cert=self._pem * 2, ca_issuer=self._pem, url="https://ca.example.com/cert/1"
        )

    def metadata(self, number: int) -> dict[str, object]:
        """What the shared map holds of one of them."""
        return certificate_to_json(self.secret(number).certificate)


async def fill(bao: OpenBao, count: int) -> None:
    """Put so many certificates into a store, behind the back of the program under test."""
    stock = Stock()
    pool = httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE)
    headers = {"X-Vault-Token": bao.root_token}
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=30, limits=pool, headers=headers) as client:

        async def put(number: int) -> None:
            secret = stock.secret(number)
            path = certificate_key(CERTIFICATES, secret.certificate.id)
            url = f"{bao.url}/v1/{ENGINE}/data/{path}"
            (await client.post(url, json={"data": stored_to_json(secret)})).raise_for_status()

        await together(put, range(count), at_once=_AT_ONCE)
