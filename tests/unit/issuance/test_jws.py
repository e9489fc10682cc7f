"""Signed messages, checked by josepy's own verification."""

from __future__ import annotations

import json
from typing import Any

import pytest
from acme.jws import JWS
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from josepy.jwk import JWK, JWKOct

from acme_manager.issuance.jws import AccountKey, b64, bind_external_account

KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}


@pytest.mark.parametrize("alg", KEYS)
def test_a_message_is_what_josepy_accepts(alg: str) -> None:
    key = AccountKey.of(KEYS[alg])
    message = JWS.json_loads(key.sign("https://ca.test/x", b'{"a":1}', nonce="bm9uY2Uy").decode())
    public: Any = JWK.from_json(key.jwk)
    assert message.verify(public)
    assert message.payload == b'{"a":1}'
    assert key.alg == alg
    assert b64(public.thumbprint()) == key.thumbprint
    assert key.key_authorization("token") == f"token.{key.thumbprint}"


def test_with_the_accounts_url_the_key_stays_at_home() -> None:
    key = AccountKey.of(KEYS["ES256"])
    protected = JWS.json_loads(key.sign("https://ca.test/x", b"", nonce="bm9uY2Uy", kid="https://ca.test/a").decode())
    header = json.loads(protected.signature.protected)
    assert header == {"alg": "ES256", "kid": "https://ca.test/a", "nonce": "bm9uY2Uy", "url": "https://ca.test/x"}


def test_ed25519_signs_as_rfc_8037_says() -> None:
    # RFC 8037 appendix A.
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = AccountKey.of(ed25519.Ed25519PrivateKey.from_private_bytes(seed))
    assert key.jwk["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert key.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert json.loads(key.sign("https://ca.test/x", b""))["signature"]


def test_other_keys_are_refused() -> None:
    for key in (ec.generate_private_key(ec.SECP256K1()), dsa.generate_private_key(2048), "text"):
        with pytest.raises(ValueError, match="must be RSA, ECDSA"):
            AccountKey.of(key)


@pytest.mark.parametrize(
    "text", ["-_-_AAAAAAAAAAAAAAAAAAAAAA", "-_-_AAAAAAAAAAAAAAAAAAAAAA==", "+/+/AAAAAAAAAAAAAAAAAAAAAA=="]
)
def test_a_binding_is_signed_with_the_cas_key_however_it_is_spelled(text: str) -> None:
    key = AccountKey.of(KEYS["ES256"])
    binding = JWS.from_json(bind_external_account(key, "https://ca.test/newAccount", "kid-1", text))
    assert binding.verify(JWKOct(key=b"\xfb\xff\xbf" + bytes(16)))
    assert json.loads(binding.payload) == key.jwk


def test_a_key_shows_nothing_of_itself() -> None:
    assert "signature" not in repr(AccountKey.of(KEYS["ES256"]))
