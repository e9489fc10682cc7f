"""Tokens: one, a list of them, and a new one with its bearer value."""

from __future__ import annotations

import attrs

from acme_manager.domain.token import Scope


@attrs.frozen(kw_only=True)
class TokenAnswer:
    """A token. Members with a zero value are left out."""

    tokenHash: str = ""  # noqa: N815 the member's name
    scope: list[Scope] = attrs.field(factory=list)
    username: str = ""
    expires: str = ""
    duration: str = ""
    updated_at: int = 0
    rate_limit_window: str = ""
    rate_limit_max_requests: int = 0
    domains: list[str] = attrs.field(factory=list)
    issuers: list[str] = attrs.field(factory=list)


OriginalTokensAnswer = dict[str, TokenAnswer]


@attrs.frozen(kw_only=True)
class ListedToken:
    """A token in a list, without its hash."""

    id: str
    username: str
    scope: list[Scope] = attrs.field(factory=list)
    expires: str = ""
    duration: str = ""
    updated_at: int = 0
    rate_limit_window: str = ""
    rate_limit_max_requests: int = 0
    domains: list[str] = attrs.field(factory=list)
    issuers: list[str] = attrs.field(factory=list)


TokenListAnswer = list[ListedToken]


@attrs.frozen(kw_only=True)
class NewTokenAnswer:
    """A token with its bearer value: what goes behind `Authorization: Bearer `."""

    duration: str
    expires: str
    id: str
    rate_limit_max_requests: int
    rate_limit_window: str
    scope: list[Scope]
    token: str
    tokenHash: str  # noqa: N815 the member's name
    username: str
    domains: list[str] = attrs.field(factory=list)
    issuers: list[str] = attrs.field(factory=list)
