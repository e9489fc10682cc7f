"""Who looks at a page, and what that allows."""

from __future__ import annotations

from typing import cast

import attrs
from quart import g

from acme_manager.api.auth import bearer_of
from acme_manager.api.request import current_request, services
from acme_manager.domain.session import Proof, Session
from acme_manager.domain.token import Scope, Token
from acme_manager.errors import AdministratorsOnly, CertificateNotFound, MissingScope, NotAuthenticated

COOKIE = "acme_manager_session"


@attrs.frozen(kw_only=True)
class Viewer:
    """An administrator sees and does everything, but is handed no private key; an owner sees only their own.

    Where `ui.public_read` is set, anybody sees everything and does nothing: `public`.
    """

    name: str
    admin: bool = False
    public: bool = False
    owner: str = ""
    scope: tuple[Scope, ...] = ()
    session: Session | None = None  # None: a program that sends its token or key along
    token: Token | None = attrs.field(default=None, repr=False)  # what an owner logged in with, if it was a token
    form_token: str = attrs.field(default="", repr=False)

    @property
    def actor(self) -> str:
        """Who it is in the audit log."""
        if self.token is not None:
            return f"token {self.token.id}"
        return f"oidc {self.name}" if self.session and self.session.proof is Proof.OIDC else "API key"

    @property
    def sees_all(self) -> bool:
        """Whether everybody's certificates are shown."""
        return self.admin or self.public

    @property
    def whose(self) -> str | None:
        """The owner that pages are limited to; None: all of them."""
        return None if self.sees_all else self.owner

    def sees(self, owner: str) -> bool:
        """Whether what belongs to that owner is shown."""
        return self.sees_all or owner == self.owner

    def may(self, scope: Scope, owner: str | None = None) -> bool:
        """Whether buttons for that are shown, on what belongs to an owner."""
        return self.admin or (scope in self.scope and owner in {None, self.owner})

    def require(self, scope: Scope, owner: str, key: str) -> None:
        """Raise CertificateNotFound for what is another's, as if it were not there, and MissingScope."""
        if not self.sees(owner):
            raise CertificateNotFound(key)
        if not self.may(scope, owner):
            raise MissingScope(scope)

    def acting_for(self, owner: str) -> Token:
        """The caller that use cases are told of. An administrator has no token, and may do everything."""
        if self.token is not None:
            return self.token
        username, scope = (owner, tuple(Scope)) if self.admin else (self.owner, self.scope)
        return Token(id=self.actor, token_hash="-", username=username, scope=scope)  # noqa: S106


async def find_viewer() -> Viewer:
    """Who sent the request at hand. Raises NotAuthenticated, and StorageUnavailable while sessions can't be opened."""
    if "viewer" not in g:
        g.seen = services().signals.mark  # before anything is read for the page: it follows what comes after
        g.viewer = await _find()
        request = current_request()
        request.owner = g.viewer.owner
        if not g.viewer.public:
            request.actor = g.viewer.actor
    return cast("Viewer", g.viewer)


async def require_administrator() -> Viewer:
    """Raises NotAuthenticated, AdministratorsOnly."""
    viewer = await find_viewer()
    if viewer.public:
        raise NotAuthenticated("log in first: with the API key")
    if not viewer.admin:
        raise AdministratorsOnly
    return viewer


async def _find() -> Viewer:
    request, tokens = current_request(), services().tokens
    if key := request.headers.get("X-API-Key", ""):
        tokens.check_api_key(key)
        return Viewer(name="administrator", admin=True)
    if "Authorization" in request.headers:
        token = tokens.authenticate(bearer_of(request.headers["Authorization"]))
        return Viewer(name=token.username, owner=token.username, scope=token.scope, token=token)
    if COOKIE in request.cookies:
        session = await services().sessions.open(request.cookies[COOKIE])
        if session is not None:
            return await _of_session(session)
    if services().settings.config.ui.public_read:
        return Viewer(name="", public=True)
    raise NotAuthenticated("log in first: with the API key, or with a token")


async def _of_session(session: Session) -> Viewer:
    sessions = services().sessions
    return Viewer(
        name=session.name,
        admin=session.admin,
        owner=session.owner,
        scope=session.scope,
        session=session,
        token=sessions.token_of(session) if session.proof is Proof.TOKEN else None,
        form_token=await sessions.form_token(session.id),
    )
