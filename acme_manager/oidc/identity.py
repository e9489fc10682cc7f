"""From claims to a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from acme_manager.config.ui import OidcConfig
from acme_manager.domain.oidc import Identity
from acme_manager.errors import LoginFailed

_LONGEST = 255


def identity_in(claims: Mapping[str, Any], config: OidcConfig) -> Identity:
    """Whom verified claims describe. Raises LoginFailed where they lack, or garble, what the configuration uses."""
    return Identity(
        subject=claims["sub"],
        username=_username(claims, config),
        email=claims["email"] if isinstance(claims.get("email"), str) else "",
        groups=_groups(claims, config),
        expires=datetime.fromtimestamp(claims["exp"], UTC),
    )


def _username(claims: Mapping[str, Any], config: OidcConfig) -> str:
    name = config.username_claim
    username = claims.get(name)
    if not isinstance(username, str) or not 0 < len(username) <= _LONGEST:
        raise LoginFailed(
            f"the provider tells no name as '{name}'; have it tell one, "
            "or set ui.oidc.username_claim or ui.oidc.scopes to what it has"
        )
    if name == "email" and claims.get("email_verified") is False:
        raise LoginFailed("the provider has not verified your e-mail address, which would be your name here")
    return username


def _groups(claims: Mapping[str, Any], config: OidcConfig) -> tuple[str, ...]:
    name = config.groups_claim
    elsewhere = claims.get("_claim_names")
    if name not in claims and isinstance(elsewhere, Mapping) and name in elsewhere:  # Core 1.0 section 5.6.2
        raise LoginFailed(
            f"you are in too many groups for the provider to tell them as '{name}'; "
            "have it tell only those that are assigned to this application"
        )
    groups = claims.get(name, [])
    groups = [groups] if isinstance(groups, str) else groups
    if not isinstance(groups, list) or not all(isinstance(one, str) for one in groups):
        raise LoginFailed(
            f"what the provider tells as '{name}' is no list of names; ui.oidc.groups_claim must name one"
        )
    return tuple(groups)
