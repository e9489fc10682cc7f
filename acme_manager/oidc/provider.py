"""One OpenID Connect provider, from the link that people follow to who they are."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit, urlunsplit

import attrs
import httpx
import structlog
import trio
from joserfc.jwk import KeySet

from acme_manager.config.ui import OidcConfig
from acme_manager.domain.oidc import Identity
from acme_manager.errors import LoginFailed, ProviderUnavailable
from acme_manager.oidc.attempt import said
from acme_manager.oidc.id_token import UnknownKey, check_claims, read_keys, signed_claims
from acme_manager.oidc.identity import identity_in
from acme_manager.oidc.metadata import BASIC, Metadata, discovery_url, read_metadata
from acme_manager.oidc.transport import Answer, Transport
from acme_manager.ports import Clock

_log = structlog.get_logger(__name__)

_FRESH = 3600.0  # seconds after which what the provider says of itself is read again
_DEFAULT_SCOPES = attrs.fields(OidcConfig).scopes.default

T = TypeVar("T")


class OpenIdProvider:
    """Keeps what the provider says of itself for an hour, and after that for as long as it does not answer.

    Everything raises ProviderUnavailable where the provider does not answer, or not with what could be used.
    """

    def __init__(
        self,
        config: OidcConfig,
        environ: Mapping[str, str],
        clock: Clock,
        wire: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.config = config
        self._transport, self._clock = Transport(config, environ, wire), clock
        self._metadata: _Kept[Metadata] | None = None
        self._keys: _Kept[KeySet] | None = None

    async def authorization_url(self, state: str, nonce: str, code_challenge: str, redirect_uri: str) -> str:
        """Where to send somebody who wants to log in (Core 1.0 section 3.1.2.1)."""
        metadata = await self._read_metadata()
        return _with(
            metadata.authorization_endpoint,
            response_type="code",
            client_id=self.config.client_id,
            redirect_uri=redirect_uri,
            scope=" ".join(self._scopes(metadata)),
            state=state,
            nonce=nonce,
            code_challenge=code_challenge,
            code_challenge_method="S256",
        )

    async def exchange(self, code: str, verifier: str, redirect_uri: str, nonce: str) -> Identity:
        """Who has come back with this code. Raises LoginFailed where the provider refuses, or can't be believed."""
        metadata = await self._read_metadata()
        tokens = await self._redeem(metadata, code, verifier, redirect_uri)
        if not isinstance(tokens.get("id_token"), str):
            raise LoginFailed("the provider sent no ID token: does it let this client use OpenID Connect ('openid')?")
        claims = await self._verified(metadata, tokens["id_token"])
        issuer, client_id = self.config.issuer_url, self.config.client_id
        check_claims(claims, issuer=issuer, client_id=client_id, nonce=nonce, at=self._clock.now())
        wanted = {self.config.username_claim, self.config.groups_claim}
        if wanted - claims.keys() and metadata.userinfo_endpoint:
            more = await self._userinfo(metadata.userinfo_endpoint, tokens.get("access_token"), claims["sub"])
            claims = {**more, **claims}
        return identity_in(claims, self.config)

    async def logout_url(self, return_to: str) -> str | None:
        """Where to send somebody who wants to log out at the provider too (RP-Initiated Logout 1.0); None: nowhere."""
        endpoint = (await self._read_metadata()).end_session_endpoint
        return (
            _with(endpoint, client_id=self.config.client_id, post_logout_redirect_uri=return_to) if endpoint else None
        )

    def _scopes(self, metadata: Metadata) -> tuple[str, ...]:
        """What the operator has not written is asked for only where it exists: some refuse a scope that they lack."""
        scopes = self.config.scopes
        if scopes != _DEFAULT_SCOPES or metadata.scopes is None:
            return scopes
        return tuple(scope for scope in scopes if scope == "openid" or scope in metadata.scopes)

    async def _redeem(self, metadata: Metadata, code: str, verifier: str, redirect_uri: str) -> Mapping[str, Any]:
        client_id, secret = self.config.client_id, self.config.client_secret
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        authorization = ""
        if secret and metadata.authentication == BASIC:
            authorization = _basic(client_id, secret)
        else:
            form |= {"client_id": client_id} | ({"client_secret": secret} if secret else {})
        answer = await self._transport.post(metadata.token_endpoint, form, authorization)
        if answer.status >= 300:
            error, description = (answer.document.get(name) for name in ("error", "error_description"))
            hidden = (code, verifier, secret)
            raise LoginFailed(said(error or f"status {answer.status}", description, *hidden))
        return answer.document

    async def _verified(self, metadata: Metadata, token: str) -> Mapping[str, Any]:
        try:
            return signed_claims(token, await self._read_keys(metadata))
        except (UnknownKey, LoginFailed):
            self._keys = None  # the provider may have new ones, and not all have names
        try:
            return signed_claims(token, await self._read_keys(metadata))
        except UnknownKey:
            raise LoginFailed("the ID token is signed with a key that the provider does not publish") from None

    async def _userinfo(self, url: str, access_token: object, subject: str) -> Mapping[str, Any]:
        """Core 1.0 section 5.3; what it says is about the same person or about nobody (5.3.4)."""
        if not (isinstance(access_token, str) and access_token.isascii() and access_token.isprintable()):
            raise LoginFailed("the provider sent no usable access token, without which it tells no more of you")
        answer = await self._transport.get(url, access_token)
        if answer.status >= 300:
            raise LoginFailed(f"the provider does not tell more of you (userinfo: status {answer.status})")
        if answer.document.get("sub") != subject:
            raise LoginFailed("the provider tells more of somebody else than of whom the ID token is about ('sub')")
        return answer.document

    async def _read_metadata(self) -> Metadata:
        kept = self._metadata
        if kept is not None and kept.fresh():
            return kept.value
        try:
            url = discovery_url(self.config.issuer_url)
            value = read_metadata(_found(await self._transport.get(url), url), self.config.issuer_url)
        except ProviderUnavailable as error:
            if kept is None:
                raise
            _log.warning(
                "OpenID Connect provider can't be asked about itself, going on with what it said", error=str(error)
            )
            value = kept.value
        self._metadata = _Kept(value)
        return value

    async def _read_keys(self, metadata: Metadata) -> KeySet:
        kept = self._keys
        if kept is None or not kept.fresh():
            kept = _Kept(read_keys(_found(await self._transport.get(metadata.jwks_uri), metadata.jwks_uri)))
            self._keys = kept
        return kept.value


class OpenIdProviders:
    """The provider of the configuration that counts now."""

    def __init__(self, clock: Clock, wire: httpx.AsyncBaseTransport | None = None) -> None:
        self._clock, self._wire = clock, wire
        self._last: tuple[Mapping[str, str], OpenIdProvider] | None = None

    def of(self, config: OidcConfig, environ: Mapping[str, str]) -> OpenIdProvider:
        """The same one as long as the configuration is the same."""
        if self._last is None or self._last[0] != environ or self._last[1].config != config:
            self._last = environ, OpenIdProvider(config, environ, self._clock, self._wire)
        return self._last[1]


@attrs.frozen
class _Kept(Generic[T]):
    value: T
    since: float = attrs.field(factory=trio.current_time)

    def fresh(self) -> bool:
        return trio.current_time() < self.since + _FRESH


def _found(answer: Answer, url: str) -> Mapping[str, Any]:
    if answer.status >= 300:
        raise ProviderUnavailable(
            f"the OpenID Connect provider answers GET {url} with status {answer.status}; is ui.oidc.issuer_url right?"
        )
    return answer.document


def _with(url: str, **query: str) -> str:
    """The URL with more in its query; what it has there of its own stays."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(query))))))


def _basic(client_id: str, secret: str) -> str:
    """Both are encoded as in a form first (RFC 6749 section 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
