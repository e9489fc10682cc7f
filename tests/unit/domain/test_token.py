from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from acme_manager.domain.token import (
    NEVER,
    Scope,
    Token,
    authenticate,
    bearer_value,
    expiry_text,
    hash_secret,
    make_secret,
    matches_hash,
    split_bearer,
    token_from_json,
    token_to_json,
    token_to_secret,
)
from acme_manager.errors import NotAuthenticated

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOKEN = Token(id="t1", token_hash=hash_secret("s3cret"), username="alice", scope=(Scope.READ, Scope.CREATE))


def test_a_bearer_value_is_base64_of_id_and_secret() -> None:
    assert bearer_value("testuser", "testpass") == "dGVzdHVzZXI6dGVzdHBhc3M="
    assert split_bearer("dGVzdHVzZXI6dGVzdHBhc3M=") == ("testuser", "testpass")


@pytest.mark.parametrize(
    "value", ["", "!", "dGVzdA==", base64.b64encode(b"\xff:x").decode(), "dGVzdHVzZXI6dGVzdHBhc3M"]
)
def test_what_is_no_bearer_value_is_refused(value: str) -> None:
    with pytest.raises(NotAuthenticated, match="invalid token format"):
        split_bearer(value)


def test_only_the_right_secret_is_accepted() -> None:
    authenticate(TOKEN, "s3cret", NOW)
    with pytest.raises(NotAuthenticated, match="invalid token"):
        authenticate(TOKEN, "S3cret", NOW)


def test_a_sha1_that_an_early_version_stored_is_honoured() -> None:
    assert matches_hash("testpass", "206c80413b9a96c1312cc346b7d2517b84463edd")
    assert not matches_hash("testpas", "206c80413b9a96c1312cc346b7d2517b84463edd")


def test_a_token_ends_at_its_instant() -> None:
    token = attrs.evolve(TOKEN, expires=expiry_text(NOW))
    authenticate(token, "s3cret", NOW - timedelta(seconds=1))
    with pytest.raises(NotAuthenticated, match="token expired"):
        authenticate(token, "s3cret", NOW)
    with pytest.raises(NotAuthenticated, match="could not parse"):
        authenticate(attrs.evolve(TOKEN, expires="soon"), "s3cret", NOW)


def test_secrets_are_long_and_never_the_same() -> None:
    assert len(make_secret()) == 43
    assert make_secret() != make_secret()


def test_records_round_trip_and_hold_no_clear_value() -> None:
    token = attrs.evolve(TOKEN, domains=("*.example.com",), rate_limit_max_requests=3)
    assert token_from_json("t1", token_to_json(token)) == token
    secret = token_to_secret(token)
    assert token_from_json("t1", secret) == token
    assert "token" not in secret
    assert {"id", "tokenHash", "scope", "username", "expires", "duration"} <= set(secret)
    assert "id" not in token_to_json(token)


def test_a_secret_of_the_go_program_is_read() -> None:
    token = token_from_json(
        "u-1",
        {
            "id": "u-1", "token": "clear", "tokenHash": "ab" * 32, "scope": ["read"], "username": "bob",
            "expires": NEVER, "duration": "", "rate_limit_window": "", "rate_limit_max_requests": 0,
        },
    )  # fmt: skip
    assert token == Token(id="u-1", token_hash="ab" * 32, username="bob", scope=(Scope.READ,))


@pytest.mark.parametrize("record", [{}, {"tokenHash": "x"}, {"tokenHash": "x", "username": "u", "scope": ["root"]}])
def test_what_is_no_token_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"token|Scope"):
        token_from_json("x", record)


def test_the_hash_never_shows_in_a_repr() -> None:
    assert TOKEN.token_hash not in repr(TOKEN)
