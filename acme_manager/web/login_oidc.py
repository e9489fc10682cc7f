"""`/ui/login-oidc` and `/ui/login-callback`: log in at the OpenID Connect provider that `ui.oidc` names.

What ties the two together (oidc/attempt.py) lies sealed with the browser, so another node may finish what one began.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from quart import Blueprint, Response

from acme_manager.api.request import current_request, services
from acme_manager.config.ui import OidcConfig
from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.oidc import rights_of
from acme_manager.domain.session import Session
from acme_manager.errors import AcmeManagerError, LoginFailed
from acme_manager.oidc.attempt import Attempt, code_in, new_attempt
from acme_manager.oidc.provider import OpenIdProvider
from acme_manager.web.forms import on_leader_if_any
from acme_manager.web.login import ask_again, check_throttle, enter, note_failure, own_page, set_cookie

routes = Blueprint("ui_login_oidc", __name__, url_prefix="/ui")

_COOKIE = "acme_manager_oidc"
_LASTS = 600  # seconds for somebody to log in at the provider


@routes.get("/login-oidc")
async def begin() -> Response:
    """Send the browser to the provider."""
    attempt, target = new_attempt(), own_page(current_request().args.get("next", ""))
    try:
        check_throttle()
        provider = _provider(_configured())
        url = await provider.authorization_url(attempt.state, attempt.nonce, attempt.challenge, _redirect_uri())
        until = milliseconds(services().clock.now()) + 1000 * _LASTS
        sealed = await services().sessions.seal_record(attrs.asdict(attempt) | {"next": target, "until": until})
    except AcmeManagerError as error:
        return await ask_again(target, error)
    response = Response(b"", 303, headers={"Location": url})
    set_cookie(response, _COOKIE, sealed, _LASTS)
    return response


@routes.get("/login-callback")
async def finish() -> Response:
    """Take who comes back from the provider in."""
    return await on_leader_if_any(_finish)


async def _finish() -> Response:
    request = current_request()
    request.action = "login"
    target = ""
    try:
        check_throttle()
        kept = await _kept()
        target = str(kept["next"])
        session = await _session_of(_configured(), kept)
    except AcmeManagerError as error:
        note_failure(error)
        return await ask_again(target, error)
    response = await enter(session, target)
    response.delete_cookie(_COOKIE, path=None)
    return response


async def _session_of(config: OidcConfig, kept: Mapping[str, object]) -> Session:
    attempt = Attempt(**{name: str(kept[name]) for name in ("state", "nonce", "verifier")})
    code = code_in(current_request().args, state=attempt.state, issuer=config.issuer_url)
    identity = await _provider(config).exchange(code, attempt.verifier, _redirect_uri(), attempt.nonce)
    rights = rights_of(identity, config)
    name = identity.username or identity.subject
    return services().sessions.with_identity(name, admin=rights.admin, owner=rights.owner, scope=rights.scope)


async def _kept() -> Mapping[str, object]:
    kept = await services().sessions.open_record(current_request().cookies.get(_COOKIE, ""))
    if kept is None or not {"state", "nonce", "verifier", "next", "until"} <= kept.keys():
        raise LoginFailed("this browser has not begun to log in, or keeps no cookies of this server: begin again")
    if int(kept["until"]) < milliseconds(services().clock.now()):
        raise LoginFailed(f"the log-in took longer than {_LASTS // 60} minutes: begin again")
    return kept


def _configured() -> OidcConfig:
    config = services().settings.config.ui.oidc
    if config is None:
        raise LoginFailed("OpenID Connect is not configured here (ui.oidc)")
    return config


def _provider(config: OidcConfig) -> OpenIdProvider:
    return services().oidc.of(config, services().settings.environ)


def _redirect_uri() -> str:
    return f"{services().settings.config.ui.external_url}/ui/login-callback"
