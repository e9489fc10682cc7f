"""An OpenID Connect provider in this process: a transport for httpx, which misbehaves on request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import attrs
import httpx
import trio
from joserfc import jwt
from joserfc.jwk import ECKey, Key
from joserfc.jws import JWSRegistry

ISSUER = "https://login.example/realm"
CLIENT_ID, CLIENT_SECRET = "acme manager", "a secret: with+signs"
REDIRECT_URI = "https://acme.example/ui/login-callback"
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class FixedClock:
    def now(self) -> datetime:
        return NOW


def _new_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


@attrs.define
class FakeProvider(httpx.AsyncBaseTransport):
    """Answers like a provider. Whoever follows the link of `authorize` is alice, who has logged in already.

    The fields are the switches: a test changes what it wants to be wrong.
    """

    key: Key = attrs.field(factory=lambda: _new_key("first"))
    published: list[Key] | None = None  # None: `key`
    alg: str = "ES256"
    header: dict[str, Any] = attrs.field(factory=dict)  # more for the head of ID tokens
    claims: dict[str, Any] = attrs.field(factory=dict)  # more for ID tokens; None takes one away
    userinfo: dict[str, Any] = attrs.field(factory=lambda: {"sub": "alice-1", "groups": ["from-userinfo"]})
    metadata: dict[str, Any] = attrs.field(factory=dict)  # more for the discovery document
    answers: dict[str, httpx.Response | Exception] = attrs.field(
        factory=dict
    )  # instead of its own, by the last of a path
    delay: float = 0.0  # seconds before each answer
    public: bool = False  # the client has no secret
    requests: list[httpx.Request] = attrs.field(factory=list)
    _codes: dict[str, dict[str, str]] = attrs.field(factory=dict)

    def authorize(self, url: str) -> str:
        """Follow the link that somebody is sent to; the code that they come back with."""
        query = {name: values[0] for name, values in parse_qs(httpx.URL(url).query.decode()).items()}
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert query["redirect_uri"] == REDIRECT_URI
        assert query["client_id"] == CLIENT_ID
        code = f"code-{len(self._codes)}"
        self._codes[code] = query
        return code

    def asked(self, last: str) -> list[httpx.Request]:
        """The requests so far, by the last part of their path."""
        return [request for request in self.requests if request.url.path.endswith(f"/{last}")]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        await trio.sleep(self.delay)
        last = request.url.path.rpartition("/")[2]
        if last in self.answers:
            answer = self.answers[last]
            if isinstance(answer, Exception):
                raise answer
            return _unread(answer)
        pages = {
            "openid-configuration": self._discovery,
            "keys": self._keys,
            "userinfo": self._userinfo,
            "token": self._token,
        }
        return _unread(pages[last](request))

    def _discovery(self, request: httpx.Request) -> httpx.Response:
        urls = {
            "authorization_endpoint": "authorize?tenant=1",
            "token_endpoint": "token",
            "jwks_uri": "keys",
            "userinfo_endpoint": "userinfo",
            "end_session_endpoint": "logout",
        }
        found = {"issuer": ISSUER, **{name: f"{ISSUER}/{path}" for name, path in urls.items()}, **self.metadata}
        return httpx.Response(200, json=found)

    def _keys(self, request: httpx.Request) -> httpx.Response:
        keys = [self.key] if self.published is None else self.published
        return httpx.Response(200, json={"keys": [key.as_dict(private=False) for key in keys]})

    def _userinfo(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer access-token"
        return httpx.Response(200, json=self.userinfo)

    def _token(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        if not self._authenticated(request, form):
            return httpx.Response(401, json={"error": "invalid_client"})
        asked = self._codes.pop(form["code"], None)
        if asked is None or asked["code_challenge"] != _s256(form["code_verifier"]):
            description = f"no such code: {form['code']} with {form['code_verifier']}"
            return httpx.Response(400, json={"error": "invalid_grant", "error_description": description})
        assert form["redirect_uri"] == asked["redirect_uri"]
        return httpx.Response(200, json={"access_token": "access-token", "id_token": self.id_token(asked["nonce"])})

    def _authenticated(self, request: httpx.Request, form: Mapping[str, str]) -> bool:
        if self.public:
            return form["client_id"] == CLIENT_ID and "client_secret" not in form
        if "client_secret" in form:
            return (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
        pair = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        return tuple(map(unquote_plus, pair.split(":"))) == (CLIENT_ID, CLIENT_SECRET)

    def id_token(self, nonce: str) -> str:
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": CLIENT_ID,
            "sub": "alice-1",
            "iat": NOW.timestamp(),
            "exp": (NOW + timedelta(minutes=5)).timestamp(),
            "nonce": nonce,
            "preferred_username": "alice",
            "email": "alice@example.com",
            "groups": ["web-team", "admins"],
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.alg, **({"kid": self.key.kid} if self.key.kid else {}), **self.header}
        registry = JWSRegistry(algorithms=[self.alg], strict_check_header=False)
        return jwt.encode(header, claims, self.key, registry=registry)


def _unread(answer: httpx.Response) -> httpx.Response:
    """As it comes from the network."""
    return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
