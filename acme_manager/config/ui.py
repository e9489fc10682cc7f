"""`ui`: who may look at the web pages, and the OpenID Connect provider that people log in at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from acme_manager.config import readers
from acme_manager.config.readers import Reader
from acme_manager.domain.oidc import OidcOwner, owner_complaint
from acme_manager.domain.token import Scope

_OPENID = "openid"
_LONGEST_SESSION = 30 * 24 * 3600.0


@attrs.frozen(kw_only=True)
class OidcConfig:
    """`ui.oidc`: the provider, our registration there, and what its groups may do here."""

    issuer_url: str  # exactly as the provider calls itself: it is compared
    client_id: str
    client_secret: str = attrs.field(default="", repr=False)  # empty: a public client
    scopes: tuple[str, ...] = (_OPENID, "profile", "email", "groups")
    username_claim: str = "preferred_username"
    groups_claim: str = "groups"
    admin_groups: tuple[str, ...] = ()
    owners: tuple[OidcOwner, ...] = ()
    own_username_scope: tuple[Scope, ...] = ()  # of people in none of these groups, as owners by their own username
    ca_file: Path | None = None  # PEM; trusted for the provider in addition to the system's roots
    label: str = ""  # what the log-in page calls the provider; empty: OpenID Connect


@attrs.frozen(kw_only=True)
class UiConfig:
    """`ui`."""

    public_read: bool = False  # show metadata of all certificates to people who have not logged in
    session_duration: float = 12 * 3600.0  # seconds; a session ends earlier when the token does
    external_url: str = ""  # of the server as browsers see it, without a final slash
    oidc: OidcConfig | None = None


def _external_url(value: Any) -> str:
    url = str(readers.https_url(value))
    if urlsplit(url).query or urlsplit(url).fragment:
        raise ValueError("must be a URL without '?' and '#', like https://acme.example.com or …/acme")
    return url.rstrip("/")


def _issuer_url(value: Any) -> str:
    url = str(readers.https_url(value))
    if urlsplit(url).query or urlsplit(url).fragment:
        raise ValueError("must be the provider's issuer URL, which has neither '?' nor '#'")
    return url


def _duration(value: Any) -> float:
    seconds = readers.go_duration(value)
    if not 60 <= seconds <= _LONGEST_SESSION:
        raise ValueError("must be between 1m and 720h")
    return seconds


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {readers.kind_of(value)}")
    return tuple(map(readers.filled, value))


def _oidc_scopes(value: Any) -> tuple[str, ...]:
    scopes = _texts(value)
    if _OPENID not in scopes:
        raise ValueError(f"must have '{_OPENID}' among them: without it the provider says nothing of who logs in")
    return scopes


def _scope(value: Any) -> tuple[Scope, ...]:
    try:
        return tuple(map(Scope, _texts(value)))
    except ValueError:
        raise ValueError(f"must be a list with some of {', '.join(Scope)}") from None


def _some_scope(value: Any) -> tuple[Scope, ...]:
    scope = _scope(value)
    if not scope:
        raise ValueError(f"must have at least one of {', '.join(Scope)}")
    return scope


def _owner(value: Any) -> str:
    if complaint := owner_complaint(readers.text(value)):
        raise ValueError(complaint)
    return str(value)


READERS: Mapping[type[attrs.AttrsInstance], Mapping[str, Reader]] = {
    OidcOwner: {"group": readers.filled, "owner": _owner, "scope": _some_scope},
    OidcConfig: {
        "issuer_url": _issuer_url,
        "client_id": readers.filled,
        "scopes": _oidc_scopes,
        "username_claim": readers.filled,
        "groups_claim": readers.filled,
        "admin_groups": _texts,
        "own_username_scope": _scope,
        "ca_file": readers.certificates,
    },
    UiConfig: {"session_duration": _duration, "external_url": _external_url},
}
REMEDIES = {
    "issuer_url": "the provider's issuer URL, like https://login.example.com/realms/main",
    "client_id": "the id under which this server is registered at the provider",
    "group": "a group, as the provider names it",
    "owner": "the owner that the group stands for: the username of its tokens",
    "scope": f"what the group's members may do, some of {', '.join(Scope)}",
}
