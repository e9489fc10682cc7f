"""API tokens: what one may do, and how its secret is checked.

A bearer value is base64(`id:secret`); only the SHA-256 of the secret is kept (guide, "Token Authentication").
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from acme_manager.domain.gotime import format_time, parse_time
from acme_manager.errors import NotAuthenticated

NEVER = "Never"


class Scope(enum.StrEnum):
    """What a token allows (guide, "API Security")."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"


@attrs.frozen(kw_only=True)
class Token:
    """A token as it is kept. `expires` is Go's text of a time or `Never`; `duration` is kept as it was asked for."""

    id: str
    token_hash: str = attrs.field(repr=False)
    username: str
    scope: tuple[Scope, ...] = ()
    expires: str = NEVER
    duration: str = ""
    updated_at: int = 0
    deleted_at: int = 0
    rate_limit_window: str = ""
    rate_limit_max_requests: int = 0
    domains: tuple[str, ...] = ()  # globs; empty allows every name
    issuers: tuple[str, ...] = ()  # globs; empty allows every issuer


def hash_secret(secret: str) -> str:
    """Lower-case hex SHA-256, the only form in which a secret is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches_hash(secret: str, stored: str) -> bool:
    """Compare in constant time. Forty digits are a SHA-1 that an early Go version stored; they are still honoured."""
    digest = (
        hashlib.sha1(secret.encode(), usedforsecurity=False) if len(stored) == 40 else hashlib.sha256(secret.encode())
    )
    return hmac.compare_digest(digest.hexdigest().encode(), stored.lower().encode())


def make_secret() -> str:
    """32 random bytes as base64url without padding: 43 characters."""
    return secrets.token_urlsafe(32)


def bearer_value(token_id: str, secret: str) -> str:
    """What goes behind `Authorization: Bearer `."""
    return base64.b64encode(f"{token_id}:{secret}".encode()).decode()


def split_bearer(value: str) -> tuple[str, str]:
    """Take a bearer value apart into id and secret. Raises NotAuthenticated."""
    try:
        token_id, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise NotAuthenticated("invalid token format") from error
    if not colon:
        raise NotAuthenticated("invalid token format")
    return token_id, secret


def authenticate(token: Token, secret: str, at: datetime) -> None:
    """Raise NotAuthenticated unless the secret is the token's and the token has not expired."""
    if not matches_hash(secret, token.token_hash):
        raise NotAuthenticated("invalid token")
    try:
        expired = has_expired(token, at)
    except ValueError as error:
        raise NotAuthenticated("could not parse token expiration time") from error
    if expired:
        raise NotAuthenticated("token expired")


def has_expired(token: Token, at: datetime) -> bool:
    """Whether a token's time is over. Raises ValueError when its record does not say when that is."""
    return token.expires != NEVER and parse_time(token.expires) <= at


def expiry_text(until: datetime | None) -> str:
    """`expires` for an instant, or for none."""
    return NEVER if until is None else format_time(until)


_JSON_NAMES = {"token_hash": "tokenHash"}


def token_to_json(token: Token) -> dict[str, Any]:
    """The record in the shared map and of `GET /api/v1/token/…`: zero values left out, no id."""
    values = {
        _JSON_NAMES.get(field.name, field.name): getattr(token, field.name)
        for field in attrs.fields(Token)
        if field.name != "id"
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value}


def token_to_secret(token: Token) -> dict[str, Any]:
    """The secret in storage: the Go original's keys, without the clear bearer value that it also keeps there."""
    record = {"id": token.id, "duration": "", "rate_limit_window": "", "rate_limit_max_requests": 0} | token_to_json(
        token
    )
    return {name: value for name, value in record.items() if name not in {"updated_at", "deleted_at"}}


def token_from_json(token_id: str, record: Mapping[str, Any]) -> Token:
    """Read a record that we or the Go original wrote. Raises ValueError."""
    if not record.get("tokenHash") or not record.get("username"):
        raise ValueError(f"token {token_id}: no tokenHash or no username")
    return Token(
        id=token_id,
        token_hash=str(record["tokenHash"]),
        username=str(record["username"]),
        scope=tuple(Scope(one) for one in record.get("scope") or ()),
        expires=str(record.get("expires") or NEVER),
        duration=str(record.get("duration") or ""),
        updated_at=int(record.get("updated_at") or 0),
        deleted_at=int(record.get("deleted_at") or 0),
        rate_limit_window=str(record.get("rate_limit_window") or ""),
        rate_limit_max_requests=int(record.get("rate_limit_max_requests") or 0),
        domains=tuple(map(str, record.get("domains") or ())),
        issuers=tuple(map(str, record.get("issuers") or ())),
    )
