"""Signed messages to a CA (RFC 8555 section 6.2), made of josepy's keys and algorithms.

Serialised here and not by josepy's JWS class: that one takes four times as long, and decodes nonces on their way, which
changes those whose base64 has stray bits at its end.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from josepy.jwa import ES256, ES384, ES512, HS256, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA

_EC_ALGORITHMS = {"secp256r1": ES256, "secp384r1": ES384, "secp521r1": ES512}
_SMALLEST_HMAC = 16


def b64(data: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@attrs.frozen
class AccountKey:
    """An account's private key, ready to sign. Its JWK and thumbprint are computed once."""

    alg: str
    jwk: Mapping[str, Any]
    thumbprint: str
    _signature: Callable[[bytes], bytes] = attrs.field(repr=False, eq=False)

    @classmethod
    def of(cls, key: object) -> AccountKey:
        """Wrap an RSA, ECDSA (P-256, P-384, P-521) or Ed25519 private key. Raises ValueError for any other."""
        match key:
            case rsa.RSAPrivateKey():
                return cls._of_josepy(JWKRSA(key=key), RS256)
            case ec.EllipticCurvePrivateKey() if key.curve.name in _EC_ALGORITHMS:
                return cls._of_josepy(JWKEC(key=key), _EC_ALGORITHMS[key.curve.name])
            case ed25519.Ed25519PrivateKey():
                raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
                jwk = {"crv": "Ed25519", "kty": "OKP", "x": b64(raw)}  # RFC 8037; josepy has no such keys
                return cls("EdDSA", jwk, _thumbprint(jwk), key.sign)
        raise ValueError("an account key must be RSA, ECDSA (P-256, P-384 or P-521) or Ed25519")

    @classmethod
    def of_pem(cls, pem: str) -> AccountKey:
        """Read PKCS#1, PKCS#8 or SEC1 without a passphrase. Raises ValueError."""
        return cls.of(read_private_key(pem))

    @classmethod
    def _of_josepy(cls, key: JWK, algorithm: JWASignature) -> AccountKey:
        jwk = key.public_key().to_json()
        return cls(algorithm.name, jwk, b64(key.thumbprint()), lambda message: algorithm.sign(key.key, message))

    def sign(self, url: str, payload: bytes, *, nonce: str = "", kid: str = "") -> bytes:
        """A flattened JWS. Without the account's URL as `kid`, the public key itself is put in."""
        protected: dict[str, Any] = {"alg": self.alg, "url": url}
        if nonce:
            protected["nonce"] = nonce
        protected |= {"kid": kid} if kid else {"jwk": self.jwk}
        return _flattened(protected, payload, self._signature)

    def key_authorization(self, token: str) -> str:
        """What a challenge's answer is made of (RFC 8555 section 8.1)."""
        return f"{token}.{self.thumbprint}"


def read_private_key(pem: str) -> PrivateKeyTypes:
    """Read a private key that needs no passphrase. Raises ValueError."""
    try:
        return serialization.load_pem_private_key(pem.encode(), password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from error


def bind_external_account(key: AccountKey, url: str, kid: str, hmac_key: str) -> Any:
    """The `externalAccountBinding` member of a new account (RFC 8555 section 7.3.4).

    `hmac_key` is base64url or plain base64, padded or not. Raises ValueError.
    """
    try:
        text = hmac_key.strip().rstrip("=").replace("+", "-").replace("/", "_")
        mac = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"hmac is no base64url: {error}") from error
    if len(mac) < _SMALLEST_HMAC:
        raise ValueError(f"hmac has {len(mac)} bytes; the CA's key has at least {_SMALLEST_HMAC}")
    if not kid:
        raise ValueError("kid is empty; the CA gives one together with the hmac")
    protected = {"alg": "HS256", "kid": kid, "url": url}
    return json.loads(_flattened(protected, _compact(key.jwk), lambda message: HS256.sign(mac, message)))


def _flattened(protected: Mapping[str, Any], payload: bytes, signature: Callable[[bytes], bytes]) -> bytes:
    head, body = b64(_compact(protected)), b64(payload)
    signed = b64(signature(f"{head}.{body}".encode()))
    return f'{{"protected":"{head}","payload":"{body}","signature":"{signed}"}}'.encode()


def _compact(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _thumbprint(jwk: Mapping[str, str]) -> str:
    """RFC 7638."""
    return b64(hashlib.sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest())
