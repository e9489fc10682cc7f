"""Who is calling: bearer tokens for certificates, the API key for tokens (guide, "API Security")."""

from __future__ import annotations

from acme_manager.api.request import API_KEY_CHALLENGE, current_request, services
from acme_manager.domain.token import Scope, Token
from acme_manager.errors import MissingScope, NotAuthenticated

API_KEY_ACTOR = "API key"


def require_token(scope: Scope | None = None) -> Token:
    """The caller's token. Raises NotAuthenticated, and MissingScope before anything else about the request is said."""
    request = current_request()
    token = services().tokens.authenticate(bearer_of(request.headers.get("Authorization", "")))
    request.owner, request.actor = token.username, f"token {token.id}"
    if scope is not None and scope not in token.scope:
        raise MissingScope(scope)
    return token


def bearer_of(header: str) -> str:
    """The token in an `Authorization` header; what stands before `Bearer ` does not matter. Raises NotAuthenticated."""
    if not header:
        raise NotAuthenticated("authorization Header is missing or empty")
    parts = header.split("Bearer ")
    if len(parts) != 2:
        raise NotAuthenticated("invalid token format")
    return parts[1]


def require_api_key() -> None:
    """Raise NotAuthenticated unless the caller is an administrator."""
    request = current_request()
    request.challenge = API_KEY_CHALLENGE
    key = request.headers.get("X-API-Key", "")
    if not key:
        raise NotAuthenticated("X-API-Key Header is missing or empty")
    services().tokens.check_api_key(key)
    request.actor = API_KEY_ACTOR
