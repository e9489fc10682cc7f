"""Signatures against the examples that AWS documents ("Signature Calculations for the Authorization Header")."""

from __future__ import annotations

from datetime import UTC, datetime

from acme_manager.http01.sigv4 import Credentials, escaped, signed

KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
AT = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"


def signature(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> str:
    sent = signed(method, HOST, escaped(path), headers, body, region="us-east-1", credentials=KEY, at=AT)
    return sent["authorization"].rpartition("Signature=")[2]


def test_get_with_a_range() -> None:
    expected = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert signature("GET", "/test.txt", {"Range": "bytes=0-9"}) == expected


def test_put_of_an_object_with_a_character_that_is_escaped() -> None:
    headers = {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    expected = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    assert signature("PUT", "/test$file.text", headers, b"Welcome to Amazon S3.") == expected


def test_a_session_token_is_sent_and_signed_and_no_secret_is_shown() -> None:
    session = Credentials("id", "the secret", "the token")
    sent = signed("GET", HOST, "/", {}, b"", region="eu-central-1", credentials=session, at=AT)
    assert sent["x-amz-security-token"] == "the token"
    assert "x-amz-security-token" in sent["authorization"]
    assert "secret" not in f"{session!r}{sent}"
    assert "the token" not in repr(session)
