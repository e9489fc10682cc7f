"""What a provider says of itself (OpenID Connect Discovery 1.0 sections 3 and 4). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from acme_manager.connections import is_loopback
from acme_manager.errors import ProviderUnavailable
from acme_manager.oidc.id_token import ALGORITHMS

BASIC, POST = "client_secret_basic", "client_secret_post"


@attrs.frozen(kw_only=True)
class Metadata:
    """The parts of the discovery document that we use. Of lists that it may leave out, none means what is standard."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    authentication: str = BASIC  # of a client that has a secret
    scopes: frozenset[str] | None = None  # None: it does not say


def discovery_url(issuer: str) -> str:
    """Where the document is (section 4)."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def read_metadata(document: Mapping[str, Any], issuer: str) -> Metadata:
    """Read the document of an issuer. Raises ProviderUnavailable with what is wrong, and with the remedy."""

    def wrong(message: str) -> ProviderUnavailable:
        return ProviderUnavailable(f"the OpenID Connect provider {issuer}: {message}")

    def endpoint(name: str, *, needed: bool = False) -> str:
        url = document.get(name)
        if url is None and not needed:
            return ""
        if not isinstance(url, str) or not _usable(url, issuer):
            raise wrong(f"'{name}' of its discovery document is no https URL")
        return url

    if document.get("issuer") != issuer:
        found = f"{document.get('issuer')!r:.200}"
        raise wrong(
            f"it calls itself {found}; ui.oidc.issuer_url must be exactly that, or the provider is not the right one"
        )
    methods, challenges, algorithms, scopes = (
        _texts(document.get(name))
        for name in (
            "token_endpoint_auth_methods_supported",
            "code_challenge_methods_supported",
            "id_token_signing_alg_values_supported",
            "scopes_supported",
        )
    )
    if challenges and "S256" not in challenges:
        raise wrong("it offers PKCE, but not with S256; allow that for this client")
    if algorithms and not algorithms & ALGORITHMS:
        raise wrong(f"it signs ID tokens with {', '.join(sorted(algorithms))} only; let it use RS256 or ES256")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=endpoint("authorization_endpoint", needed=True),
        token_endpoint=endpoint("token_endpoint", needed=True),
        jwks_uri=endpoint("jwks_uri", needed=True),
        userinfo_endpoint=endpoint("userinfo_endpoint"),
        end_session_endpoint=endpoint("end_session_endpoint"),
        authentication=POST if methods and BASIC not in methods else BASIC,
        scopes=scopes,
    )


def _texts(value: object) -> frozenset[str] | None:
    return frozenset(one for one in value if isinstance(one, str)) if isinstance(value, list) else None


def _usable(url: str, issuer: str) -> bool:
    """Over TLS, unless the provider itself is on this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    plain = issuer.startswith("http://") and parts.scheme == "http" and is_loopback(host)
    return bool(host) and parts.username is None and (parts.scheme == "https" or plain)
