"""Revoking a certificate (RFC 8555 section 7.6)."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from acme_manager.errors import IssuanceFailed
from acme_manager.issuance.client import AcmeClient
from acme_manager.issuance.jws import AccountKey, b64, read_private_key

_BAD_REASON = "badRevocationReason"


async def revoke(
    client: AcmeClient, leaf: x509.Certificate, reason: int | None, key: AccountKey, kid: str = ""
) -> None:
    """Revoke a certificate; one that is revoked already is no error. Raises what AcmeClient raises.

    `key` and `kid` are an account's key and URL, or the certificate's own key, which needs no account.
    """
    wanted: dict[str, Any] = {"certificate": b64(leaf.public_bytes(Encoding.DER))}
    if reason is not None:
        wanted["reason"] = reason
    refusal = ""
    try:
        await client.post("revoke", await client.url_of("revokeCert"), wanted, key, kid)
    except IssuanceFailed as error:
        refusal = error.problem.code if error.problem else ""
        if refusal != "alreadyRevoked" and not (refusal == _BAD_REASON and reason is not None):
            raise
    if refusal == _BAD_REASON:
        # Some CAs take no reasons at all; revoked for no reason is better than valid.
        await revoke(client, leaf, None, key, kid)


def own_key(leaf: x509.Certificate, private_key: str) -> AccountKey:
    """A certificate's own key (PEM), ready to sign. Raises ValueError for one that isn't."""
    key = read_private_key(private_key)
    if key.public_key() != leaf.public_key():
        raise ValueError("the private key is not the certificate's")
    return AccountKey.of(key)
