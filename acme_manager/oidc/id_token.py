"""ID tokens: is one the provider's, for us and for this log-in, and still good (Core 1.0 section 3.1.3.7)? Pure."""

from __future__ import annotations

import hmac
import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, KeySet, RSAKey
from joserfc.jws import JWSRegistry

from acme_manager.errors import LoginFailed

ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "EdDSA"})
"""All of them asymmetric: neither `none`, nor a MAC that could be made with a public key."""

LEEWAY = 60.0  # seconds by which clocks may differ
_SMALLEST_RSA = 2048
_KEY_TYPES = ("RSA", "EC", "OKP")
_LAST_INSTANT = 253402300799  # of a datetime
_UNREADABLE = (JoseError, ValueError, TypeError, KeyError, RecursionError)  # what joserfc raises at what it can't read


class UnknownKey(Exception):
    """The token is signed with a key that is not in the set: the provider may have a new one."""


class _Registry(JWSRegistry):
    max_header_length = 8192  # some providers put their certificate chain there

    def __init__(self) -> None:
        super().__init__(algorithms=ALGORITHMS, strict_check_header=False)


def read_keys(document: Mapping[str, Any]) -> KeySet:
    """The keys of a JWK set (RFC 7517 section 5) that could sign; those that we can't read are left out."""
    raw = document.get("keys")
    keys = []
    with _without_warnings():
        for one in raw if isinstance(raw, list) else ():
            if not isinstance(one, dict) or one.get("kty") not in _KEY_TYPES or one.get("use", "sig") != "sig":
                continue
            try:
                key = JWKRegistry.import_key(one)
            except _UNREADABLE:
                continue
            if not isinstance(key, RSAKey) or key.raw_value.key_size >= _SMALLEST_RSA:
                keys.append(key)
        return KeySet(keys)


def signed_claims(token: str, keys: KeySet) -> dict[str, Any]:
    """What a token says, provided that one of the keys has signed it. Raises UnknownKey and LoginFailed."""
    try:
        with _without_warnings():
            return jwt.decode(token, keys, registry=_Registry()).claims
    except InvalidKeyIdError:
        raise UnknownKey from None
    except _UNREADABLE as error:
        what = error.error if isinstance(error, JoseError) else "unreadable"
        raise LoginFailed(
            f"the ID token can't be believed: {_WORDS.get(what, 'it is no signed JSON')} ({what})"
        ) from None


_WORDS = {
    "bad_signature": "its signature is wrong",
    "unsupported_algorithm": f"it is not signed with one of {', '.join(sorted(ALGORITHMS))}",
    "exceeded_size": "it is too large; have the provider put less into it",
}


def check_claims(claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, at: datetime) -> None:
    """Raise LoginFailed unless the claims are by this issuer, for this client and this log-in, and hold by then."""
    if claims.get("iss") != issuer:
        raise LoginFailed(f"the ID token is by {claims.get('iss')!r:.200}, and not by ui.oidc.issuer_url")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise LoginFailed("the ID token is meant for another application: is ui.oidc.client_id the one registered?")
    if "azp" in claims and claims["azp"] != client_id:
        raise LoginFailed("the ID token was issued to another application ('azp')")
    if len(audiences) > 1 and "azp" not in claims:
        raise LoginFailed("the ID token is meant for several applications and does not say for which it was issued")
    if not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
        raise LoginFailed("the ID token belongs to another log-in; log in again")
    now = at.timestamp()
    if _instant(claims, "exp") + LEEWAY <= now:
        late = now - _instant(claims, "exp")
        raise LoginFailed(
            f"the ID token expired {late:.0f} s ago: compare the clocks of the provider and of this server"
        )
    for name in ("iat", "nbf"):
        early = _instant(claims, name) - now if name == "iat" or name in claims else 0.0
        if early > LEEWAY:
            raise LoginFailed(
                f"the ID token is {early:.0f} s from the future ('{name}'): "
                "compare the clocks of the provider and of this server"
            )
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise LoginFailed("the ID token does not say who it is about ('sub')")


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_INSTANT:
        raise LoginFailed(f"the ID token has no usable time as '{name}'")
    return float(value)


def _without_warnings() -> warnings.catch_warnings[Any]:
    """joserfc warns of what we refuse a line later, and of the name `EdDSA`, which providers use."""
    return warnings.catch_warnings(action="ignore", category=SecurityWarning)
