"""The whole site: the API with the pages beside it."""

from __future__ import annotations

from quart import Blueprint, Response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from acme_manager.api.app import Api, ApiSettings, build_app
from acme_manager.api.forward import Forwarder
from acme_manager.api.request import ApiRequest, current_request
from acme_manager.services.bundle import Services
from acme_manager.web import (
    assets,
    audit,
    certificate,
    certificate_new,
    certificate_removal,
    certificate_renewal,
    certificate_update,
    certificates,
    cluster,
    dns,
    downloads,
    home,
    inventory,
    issuers,
    live,
    login,
    login_oidc,
    operations,
    original,
    rate_limits,
    tokens,
)
from acme_manager.web.login import Logins
from acme_manager.web.page import problem_page, wants_json

# Nothing from elsewhere, nothing inline, and no other site may put us into a frame.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}

PAGES: tuple[Blueprint, ...] = (
    assets.routes,
    live.routes,
    login.routes,
    login_oidc.routes,
    home.routes,
    tokens.routes,
    issuers.routes,
    audit.routes,
    rate_limits.routes,
    dns.routes,
    inventory.routes,
    certificates.routes,
    certificate.routes,
    certificate_new.routes,
    certificate_update.routes,
    certificate_renewal.routes,
    certificate_removal.routes,
    downloads.routes,
    cluster.routes,
    operations.routes,
    original.routes,
)


def build_site(services: Services, settings: ApiSettings, forwarder: Forwarder) -> QuartTrio:
    """An ASGI application that serves API and pages. It starts no task of its own and holds nothing open."""
    site = build_app(services, settings, forwarder, kind=_Site, more=PAGES)
    Logins(services.registry).install(site)
    return site


class _Site(Api):
    async def handle_request(self, request: ApiRequest) -> Response | WerkzeugResponse:  # type: ignore[override]
        """What answers below `/ui`, be it a page, JSON, a file or an error: browsers are told to trust it little."""
        response = await super().handle_request(request)
        if request.path == "/ui" or request.path.startswith("/ui/"):
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    async def handle_user_exception(self, error: Exception | BaseExceptionGroup) -> Response | HTTPException:
        """An error on a page is a page."""
        answered = await super().handle_user_exception(error)
        if isinstance(answered, Response) and answered.status_code >= 400 and _is_page():
            return await problem_page(error, answered)
        return answered


def _is_page() -> bool:
    return current_request().path.startswith("/ui/") and not wants_json()
