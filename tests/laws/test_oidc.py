"""What an OpenID Connect provider sends is read, or refused in our words; nothing of it surprises."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey

from acme_manager.errors import LoginFailed, ProviderUnavailable
from acme_manager.oidc.id_token import UnknownKey, read_keys, signed_claims
from acme_manager.oidc.metadata import read_metadata

EC, RSA = (key.as_dict(private=False) for key in (ECKey.generate_key("P-256"), RSAKey.generate_key(2048)))
KEYS = read_keys({"keys": [{**EC, "kid": "e"}, {**RSA, "kid": "r"}]})
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = ["kty", "n", "e", "crv", "x", "y", "kid", "use", "alg", "key_ops", "x5c"]


def damaged(key: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(MEMBERS), ANYTHING | st.sampled_from([*EC.values(), *RSA.values()])).map(
        lambda other: {**key, **other}
    )


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@given(ANYTHING | st.lists(damaged(dict(EC)) | damaged(dict(RSA)) | ANYTHING, max_size=3))
def test_of_any_set_of_keys_those_are_used_that_can_be(keys: Any) -> None:
    found = read_keys({"keys": keys})
    assert len(list(found)) <= (len(keys) if isinstance(keys, list) else 0)
    with suppress(LoginFailed, UnknownKey):
        signed_claims(f"{part({'alg': 'ES256', 'kid': 'e'})}.{part({})}.AAAA", found)


HEADER = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["RS256", "ES256", "PS256", "EdDSA", "HS256", "none"]) | ANYTHING,
        "kid": st.sampled_from(["e", "r"]) | ANYTHING,
        "crit": ANYTHING,
        "typ": ANYTHING,
        "jwk": st.just(dict(EC)) | ANYTHING,
        "x5u": ANYTHING,
        "b64": ANYTHING,
    },
)


@given(
    st.text(max_size=40)
    | st.builds(lambda head, claims, end: f"{part(head)}.{part(claims)}.{end}", HEADER | ANYTHING, ANYTHING, st.text())
)
def test_no_text_passes_for_a_token_that_a_key_has_signed(token: str) -> None:
    try:
        signed_claims(token, KEYS)
    except (LoginFailed, UnknownKey):
        return
    raise AssertionError("nobody has signed that")


@given(st.dictionaries(st.sampled_from(["authorization_endpoint", "token_endpoint", "jwks_uri"]), ANYTHING), ANYTHING)
def test_any_discovery_document_is_read_or_refused(document: dict[str, Any], more: Any) -> None:
    issuer = "https://login.example"
    other = more if isinstance(more, dict) else {"scopes_supported": more, "code_challenge_methods_supported": more}
    with suppress(ProviderUnavailable):
        assert read_metadata({**other, **document, "issuer": issuer}, issuer).issuer == issuer
