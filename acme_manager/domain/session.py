"""Who is logged in at the web UI, for how long, and what ends that early.

A session is no record anywhere: the browser holds it, sealed (services/sessions.py), so any node can open it. What it
was granted for is checked again at every request; it ends at once when that is revoked, replaced or configured anew.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from acme_manager.domain.gotime import parse_time
from acme_manager.domain.token import NEVER, Scope, Token


class Proof(enum.StrEnum):
    """What somebody logged in with."""

    API_KEY = "api_key"
    TOKEN = "token"  # noqa: S105 a kind, not a secret
    OIDC = "oidc"


@attrs.frozen(kw_only=True)
class Session:
    """One log-in. `ground` is a digest of what it rests on: the API key's hash, the token's, the OIDC settings."""

    id: str
    proof: Proof
    ground: str
    name: str  # for people, and for the audit log
    ends: datetime  # aware, whole seconds
    token_id: str = ""
    admin: bool = False
    owner: str = ""
    scope: tuple[Scope, ...] = ()


def digest_of(ground: str) -> str:
    """Half a SHA-256 in hex: enough to notice a change, and no way back to what it is of."""
    return hashlib.sha256(ground.encode()).hexdigest()[:32]


def end_of(began: datetime, seconds: float, token: Token | None = None) -> datetime:
    """When a session ends: after so many seconds, or with its token. Raises ValueError for a token without an end."""
    end = began.replace(microsecond=0) + timedelta(seconds=seconds)
    if token is None or token.expires == NEVER:
        return end
    return min(end, parse_time(token.expires))


def is_over(session: Session, ground: str | None, now: datetime) -> bool:
    """Whether a session has ended. `ground` is what it would rest on now, None where there is nothing any more."""
    return now >= session.ends or ground is None or digest_of(ground) != session.ground


def session_to_json(session: Session) -> dict[str, Any]:
    """As it is sealed."""
    record = attrs.asdict(session) | {"ends": int(session.ends.timestamp())}
    return {name: value for name, value in record.items() if value}


def session_from_json(record: Mapping[str, Any]) -> Session:
    """Read what another version may have sealed. Raises ValueError."""
    try:
        return Session(
            id=str(record["id"]),
            proof=Proof(record["proof"]),
            ground=str(record["ground"]),
            name=str(record["name"]),
            ends=datetime.fromtimestamp(int(record["ends"]), UTC),
            token_id=str(record.get("token_id") or ""),
            admin=bool(record.get("admin")),
            owner=str(record.get("owner") or ""),
            scope=tuple(Scope(one) for one in record.get("scope") or ()),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no session: {error!r}") from error
