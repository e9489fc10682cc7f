"""`/ui/login` and `/ui/logout`: with the API key or a token of the API. OpenID Connect is in login_oidc.py."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from typing import cast

import structlog
import trio
from prometheus_client import CollectorRegistry, Counter
from quart import Blueprint, Response, current_app

from acme_manager.api.auditing import where_from
from acme_manager.api.problem_kinds import kind_of
from acme_manager.api.request import ApiRequest, current_request, services
from acme_manager.domain.session import Session
from acme_manager.domain.token import split_bearer
from acme_manager.errors import AcmeManagerError, FormRefused, NotAuthenticated, RateLimited
from acme_manager.metrics import PREFIX
from acme_manager.web.forms import Form, check_form_token, on_leader_if_any, read_fields, read_form, submitted
from acme_manager.web.page import go_to, page, told
from acme_manager.web.throttle import Throttle
from acme_manager.web.viewer import COOKIE, Viewer

routes = Blueprint("ui_login", __name__, url_prefix="/ui")

_BEFORE = "acme_manager_login"  # cookie of a browser that has not logged in yet: it ties the form to the browser
_EXTENSION = "acme_manager_logins"
_PAGE = re.compile(r"(\./|[a-z][a-z-]*)(\?[!-\"$-\[\]-~]*)?")  # of ours: no path, no host, and fit for a header
_PATIENCE = 2.0  # seconds for the provider to say where one logs out
_MARK = re.compile(r"[\w-]{20,64}")
_log = structlog.get_logger(__name__)


class Logins:
    """What a node remembers of log-ins."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.throttle = Throttle()
        self.outcomes = Counter(f"{PREFIX}_ui_logins", "Log-ins at the web UI", ["outcome"], registry=registry)

    def install(self, app: object) -> None:
        """Make it what handlers find."""
        app.extensions[_EXTENSION] = self  # type: ignore[attr-defined]


def logins() -> Logins:
    """What this node remembers."""
    return cast("Logins", current_app.extensions[_EXTENSION])


@routes.get("/login")
async def login_page() -> Response:
    """Ask for the key or the token."""
    request = current_request()
    ended = "ended" in request.args
    over = not ended and COOKIE in request.cookies  # only who is not let in any more is led here
    return await ask_again(own_page(request.args.get("next", "")), ended=ended, over=over)


@routes.post("/login")
async def login() -> Response:
    """Log in, and go to where one came from. Whatever storage and leader do, whoever is right gets in."""
    return await on_leader_if_any(_log_in)


async def _log_in() -> Response:
    form = await read_fields()
    target = own_page(form["next"])
    try:
        check_throttle()
        check_form_token(form, await _form_token(current_request().cookies.get(_BEFORE, "")))
        session = _session_of(form)
    except AcmeManagerError as error:
        note_failure(error)
        return await ask_again(target, error)
    return await enter(session, target)


@routes.post("/logout")
async def logout() -> Response:
    """End the session: in the browser in any case, and on every node if there is a leader to tell the others."""
    await read_form()
    try:
        response = await _end_everywhere()
    except AcmeManagerError as error:
        _log.warning("session ended in the browser only", error=str(error))
        response = go_to("login", ended=1)
    response.delete_cookie(COOKIE, path=None)
    return response


@submitted()
async def _end_everywhere(viewer: Viewer, _form: Form) -> Response:
    assert viewer.session is not None
    services().sessions.end(viewer.session)
    return go_to("login", ended=1)


async def enter(session: Session, target: str) -> Response:
    """Give the browser its session, and lead it to a page."""
    request = current_request()
    logins().outcomes.labels("ok").inc()
    _log.info("logged in", name=session.name, proof=session.proof.value, ends=session.ends.isoformat())
    response = go_to(target or "./")
    left = (session.ends - services().clock.now()).total_seconds()
    set_cookie(response, COOKIE, await services().sessions.seal(session), max(1, int(left)))
    response.delete_cookie(_BEFORE, path=None)
    who = Viewer(name=session.name, session=session, token=services().sessions.token_of(session))
    request.actor, request.owner = who.actor, session.owner
    return response


def own_page(text: str) -> str:
    """A page of ours to go to next; anything else is nothing."""
    return text if _PAGE.fullmatch(text) and not text.startswith(("login", "logout")) else ""


def set_cookie(response: Response, name: str, value: str, seconds: int | None = None) -> None:
    """A cookie of ours. Without a path it is for the folder of the page, whatever prefix a proxy has put before."""
    response.set_cookie(
        name, value, max_age=seconds, path=None, secure=_under_tls(current_request()), httponly=True, samesite="Lax"
    )


def check_throttle() -> None:
    """Raise RateLimited for who has been wrong too often."""
    wait = logins().throttle.wait(*_source(), trio.current_time())
    if wait > 0:
        raise RateLimited("too many log-ins have failed from where you are: wait a little", wait)


def note_failure(error: AcmeManagerError) -> None:
    """Count a log-in that failed, against whoever tried if it was their fault."""
    current_request().failure = str(error)
    logins().outcomes.labels("throttled" if isinstance(error, RateLimited) else "refused").inc()
    if isinstance(error, NotAuthenticated | FormRefused):
        logins().throttle.failed(*_source(), trio.current_time())
    _log.warning("log-in failed", error=str(error), peer=_source()[0])


def _session_of(form: Form) -> Session:
    secret = form["secret"].removeprefix("Bearer ").strip()
    if not secret:
        raise NotAuthenticated("type the API key, or a token")
    try:
        split_bearer(secret)
    except NotAuthenticated:
        return services().sessions.with_api_key(secret)
    return services().sessions.with_token(secret)


async def ask_again(
    target: str, error: AcmeManagerError | None = None, *, ended: bool = False, over: bool = False
) -> Response:
    """The log-in page, with what went wrong."""
    mark = current_request().cookies.get(_BEFORE, "")
    if not _MARK.fullmatch(mark):
        mark = secrets.token_urlsafe(24)
    try:
        form_token = await _form_token(mark)
    except AcmeManagerError as trouble:  # without storage a node that has just started can let nobody in
        form_token, error = "", error or trouble
    oidc = services().settings.config.ui.oidc
    response = await page(
        "login.html",
        status=kind_of(error).status if error else 200,
        next=target,
        form_token=form_token,
        error=told(error) if error else None,
        ended=ended,
        over=over,
        oidc=(oidc.label or "OpenID Connect") if oidc else "",
        provider_logout=await provider_logout() if ended else None,
    )
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(int(error.retry_after) + 1)
    set_cookie(response, _BEFORE, mark)
    return response


async def _form_token(mark: str) -> str:
    return await services().sessions.form_token(f"login {mark}") if _MARK.fullmatch(mark) else ""


async def provider_logout() -> str | None:
    """Where to end the session at the provider too. A link and no redirect: forms lead nowhere else (CSP)."""
    ui, environ = services().settings.config.ui, services().settings.environ
    if ui.oidc is None:
        return None
    with trio.move_on_after(_PATIENCE):
        with suppress(AcmeManagerError):
            return await services().oidc.of(ui.oidc, environ).logout_url(f"{ui.external_url}/ui/login")
    return None


def _source() -> tuple[str, str]:
    peer, before = where_from(current_request(), services().cluster)
    return peer, before.rpartition(",")[2].strip()[:64]


def _under_tls(request: ApiRequest) -> bool:
    """Whether the browser speaks TLS, to us or to the proxy before us. A false header only harms who sends it."""
    outside = services().settings.config.ui.external_url
    return "https" in {request.scheme, request.headers.get("X-Forwarded-Proto", "")} or outside.startswith("https:")
