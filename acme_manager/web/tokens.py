"""`/ui/tokens`: who may use the API. Administrators make, replace and revoke; a new secret is shown once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
from quart import Blueprint, Response

from acme_manager.api.problem_kinds import kind_of
from acme_manager.api.request import current_request, services
from acme_manager.domain.request import TokenParams
from acme_manager.domain.token import NEVER, Scope, Token, has_expired, token_to_json
from acme_manager.errors import AdministratorsOnly, InvalidRequest
from acme_manager.web.forms import Form, submitted
from acme_manager.web.page import go_to, page, page_or_json, told
from acme_manager.web.viewer import Viewer, find_viewer, require_administrator
from acme_manager.web.words import moment

routes = Blueprint("ui_tokens", __name__, url_prefix="/ui")

_SOON = 14 * 86400.0  # seconds; a token that ends sooner is told
_LIMITS = (50, 100, 200)
_TYPED = "typed"


@routes.get("/tokens")
async def tokens() -> Response:
    """All tokens, without their hashes: for a program by id, as in the Go original."""
    viewer, args = await find_viewer(), current_request().args
    if not viewer.sees_all:
        raise AdministratorsOnly
    words = args.get("q", "").casefold().split()
    found = [one for one in services().tokens.list() if _fits(one, words)]
    found.sort(key=lambda one: (one.username, one.id))
    now = services().clock.now()
    start = args.get("offset", "")
    offset = int(start) if start.isdecimal() and len(start) < 10 else 0
    shown = [(one, *_state(one, now)) for one in found[offset : offset + _LIMITS[0]]]
    data = {one.id: without_hash(one) for one in found}
    return await page_or_json(
        "tokens.html", viewer, data, shown=shown, total=len(found), offset=offset, limit=_LIMITS[0], q=args.get("q", "")
    )


@routes.get("/token-create")
async def create_page() -> Response:
    """The form for a new token."""
    viewer = await require_administrator()
    return await _form_page(viewer, TokenParams(scope=(Scope.READ,), duration="90d"))


async def _create_again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    return await _form_page(viewer, _params(form), error, most=form["rate_limit_max_requests"])


@routes.post("/token-create")
@submitted(_create_again)
async def create(viewer: Viewer, form: Form) -> Response:
    """Make a token, and show its secret this once."""
    _check(viewer)
    token, bearer = await services().tokens.create(_params(form))
    return await _show_secret(viewer, token, bearer)


@routes.get("/token-replace")
async def replace_page() -> Response:
    """The form of a token as it is."""
    viewer = await require_administrator()
    token = services().tokens.get(current_request().args.get("id", ""))
    known = {field.name for field in attrs.fields(TokenParams)}
    params = TokenParams(**{name: value for name, value in attrs.asdict(token).items() if name in known})
    return await _form_page(viewer, params)


async def _replace_again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    return await _form_page(viewer, _params(form), error, most=form["rate_limit_max_requests"])


@routes.post("/token-replace")
@submitted(_replace_again)
async def replace(viewer: Viewer, form: Form) -> Response:
    """Give a token other rights and a new secret."""
    _check(viewer)
    current_request().audited = form["id"]
    token, bearer = await services().tokens.replace(_params(form))
    return await _show_secret(viewer, token, bearer)


@routes.get("/token-revoke")
async def revoke_page() -> Response:
    """Ask whether it is meant."""
    viewer = await require_administrator()
    return await _ask(viewer, services().tokens.get(current_request().args.get("id", "")))


async def _revoke_again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    return await _ask(viewer, services().tokens.get(form["id"]), error)


@routes.post("/token-revoke")
@submitted(_revoke_again)
async def revoke(viewer: Viewer, form: Form) -> Response:
    """Revoke a token for good."""
    _check(viewer)
    token = services().tokens.get(form["id"])
    current_request().audited = token.id
    if form[_TYPED] != token.username:
        raise InvalidRequest(f"type '{token.username}' to confirm", _TYPED)
    await services().tokens.revoke(token.id)
    return go_to("tokens", said="token-revoked")


def without_hash(token: Token) -> dict[str, Any]:
    """The record of a token for programs."""
    return {name: value for name, value in token_to_json(token).items() if name != "tokenHash"}


def _check(viewer: Viewer) -> None:
    if not viewer.admin:
        raise AdministratorsOnly


def _params(form: Form) -> TokenParams:
    most = form["rate_limit_max_requests"] or "0"
    return TokenParams(
        id=form["id"],
        username=form["username"],
        scope=form.all("scope"),
        duration=form["duration"],
        rate_limit_window=form["rate_limit_window"],
        rate_limit_max_requests=int(most) if most.isdecimal() and len(most) < 10 else -1,
        domains=_globs(form["domains"]),
        issuers=_globs(form["issuers"]),
    )


def _globs(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


async def _form_page(
    viewer: Viewer, params: TokenParams, error: BaseException | None = None, *, most: str = ""
) -> Response:
    """`most` is what was typed as a number."""
    known = services()
    return await page(
        "token_form.html",
        viewer,
        kind_of(error).status if error else 200,
        section="tokens",
        params=params,
        most=most or params.rate_limit_max_requests or "",
        scopes=tuple(Scope),
        issuers=sorted(known.settings.issuers),
        owners=sorted({one.username for one in known.tokens.list()}),
        error=told(error) if error else None,
    )


async def _show_secret(viewer: Viewer, token: Token, bearer: str) -> Response:
    request = current_request()
    request.audited = token.id
    return await page("token_made.html", viewer, section="tokens", token=token, bearer=bearer)


async def _ask(viewer: Viewer, token: Token, error: BaseException | None = None) -> Response:
    return await page(
        "token_revoke.html",
        viewer,
        kind_of(error).status if error else 200,
        section="tokens",
        token=token,
        error=told(error) if error else None,
    )


def _fits(token: Token, words: Sequence[str]) -> bool:
    text = " ".join((token.id, token.username, *token.scope, *token.domains, *token.issuers)).casefold()
    return all(word in text for word in words)


def _state(token: Token, now: datetime) -> tuple[str, str]:
    """How a token is doing: tone and word."""
    if token.expires == NEVER:
        return "warn", "Never ends"
    try:
        if has_expired(token, now):
            return "bad", "Expired"
    except ValueError:
        return "bad", "Unreadable"
    ends = moment(token.expires)
    soon = ends is not None and (ends - now).total_seconds() < _SOON
    return ("warn", "Ends soon") if soon else ("good", "Valid")
