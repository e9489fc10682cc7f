"""The HTTP application: which routes there are, and what happens around each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import trio
from quart import Blueprint, Response
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from acme_manager.api import (
    audit,
    certificates,
    check,
    cleanup,
    cluster,
    events,
    issuers,
    operations,
    plugins,
    rate_limits,
    reports,
    resync,
    swagger,
    system,
    tokens,
    workers,
)
from acme_manager.api.auditing import note_request
from acme_manager.api.forward import EXTENSION, Forwarder
from acme_manager.api.observe import Observer, request_id
from acme_manager.api.problems import problem_response
from acme_manager.api.request import ApiRequest, current_request
from acme_manager.config.model import Flags
from acme_manager.services.bundle import Services

_Send = Callable[[dict[str, Any]], Awaitable[None]]


@attrs.frozen(kw_only=True)
class ApiSettings:
    """Limits of the API. Times are in seconds, sizes in bytes."""

    max_body: int = 1024 * 1024
    body_timeout: float | None = 300.0  # for a whole body to arrive
    response_timeout: float = 15.0  # for a client to take its answer; below the time that the server drains

    @classmethod
    def from_flags(cls, flags: Flags) -> ApiSettings:
        """As `-server.http-read-timeout` has it; 0 means no limit, as in Go."""
        return cls(body_timeout=flags.http_read_timeout or None)


def build_app(
    services: Services,
    settings: ApiSettings,
    forwarder: Forwarder,
    *,
    kind: type[Api] | None = None,
    more: Sequence[Blueprint] = (),
) -> Api:
    """An ASGI application that serves these use cases. It starts no task of its own and holds nothing open.

    `kind` and `more` are how the web UI adds its pages.
    """
    app = (kind or Api)(services)
    app.extensions[EXTENSION] = forwarder
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body
    app.config["BODY_TIMEOUT"] = settings.body_timeout
    app.config["RESPONSE_TIMEOUT"] = settings.response_timeout
    about_certificates = (certificates, check, events, reports, operations, cleanup, resync, issuers, rate_limits)
    modules = (*about_certificates, tokens, plugins, audit, workers, cluster, system, swagger)
    for routes in (*(module.routes for module in modules), *more):
        app.register_blueprint(routes)
    return app


class PatientHTTPConnection(TrioASGIHTTPConnection):
    """Lets the server finish with a response before the request's nursery is cancelled.

    When a response ends Hypercorn restarts its idle timer, and does it inside the task that sends. Quart-Trio's own
    class cancels that task because of the `http.disconnect` which the same end causes; the timer would never start,
    idle connections would stay open for ever, and a shutdown would wait for them.
    """

    async def handle_request(self, nursery: trio.Nursery, request: ApiRequest, send: object) -> None:  # type: ignore[override]
        """Answer, then end the request."""
        response = await self.app.handle_request(request)
        own_limit = getattr(response, "timeout", ...)
        if own_limit is ...:
            with trio.move_on_after(self.app.config["RESPONSE_TIMEOUT"], shield=True):
                await self._send_response(send, response)  # type: ignore[arg-type]
        else:
            await self._send_stream(send, response, own_limit)  # type: ignore[arg-type]
        nursery.cancel_scope.cancel()

    async def _send_stream(self, send: _Send, response: Response, limit: float) -> None:
        """A stream ends when its client has gone; only from its own end on it is shielded, as any other response."""
        with trio.move_on_after(limit) as scope:

            async def watched(event: dict[str, Any]) -> None:
                if event["type"] == "http.response.body" and not event.get("more_body"):
                    scope.shield = True
                await send(event)

            await self._send_response(watched, response)  # type: ignore[arg-type]


class Api(QuartTrio):
    """Serves requests; see build_app."""

    asgi_http_class = PatientHTTPConnection
    request_class = ApiRequest

    def __init__(self, services: Services) -> None:
        super().__init__("acme_manager.api", static_folder=None)
        self._services = self.extensions["acme_manager"] = services
        self.url_map.strict_slashes = True
        self.url_map.merge_slashes = False  # no redirects to addresses made of what the client sent
        self._observer = Observer(services.registry)

    async def handle_request(self, request: ApiRequest) -> Response | WerkzeugResponse:  # type: ignore[override]
        """Serve a request, and see that it is numbered, counted and logged whatever becomes of it.

        This is cheaper than Quart's hooks, and unlike them also sees requests whose caller hung up.
        """
        began = trio.current_time()
        request.request_id = request_id(request.headers.get("X-Request-ID", ""))
        response: Response | None = None
        in_flight = self._observer.metrics.in_flight
        in_flight.inc()
        try:
            response = await super().handle_request(request)  # type: ignore[assignment]
            assert response is not None
            response.headers["X-Request-ID"] = request.request_id
            if request.owner:
                response.headers["Owner"] = _header_safe(request.owner)
        finally:
            in_flight.dec()
            self._observer.finish(request, response, trio.current_time() - began)
            note_request(self._services, request, response)
        return response

    async def handle_user_exception(self, error: Exception | BaseExceptionGroup) -> Response | HTTPException:
        """Every error becomes a problem document; redirects and the like stay what they are."""
        if isinstance(error, BaseExceptionGroup) and error.subgroup(trio.Cancelled):
            raise error
        if isinstance(error, HTTPException) and error.code is not None and error.code < 400:
            return error
        return problem_response(error, current_request())

    async def handle_exception(self, error: Exception) -> Response:
        """What is raised outside of a handler is answered alike."""
        return problem_response(error, current_request())


def _header_safe(text: str) -> str:
    """A user name may have characters that a header may not."""
    return text if text.isascii() and text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
