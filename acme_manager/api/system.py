"""Everything that is about the node and not about certificates."""

from __future__ import annotations

import gzip
from functools import partial

import trio
from prometheus_client import exposition
from quart import Blueprint, Response, abort

from acme_manager.api.encoding import answer
from acme_manager.api.openapi import describe
from acme_manager.api.problem_kinds import ALL_KINDS
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.common import Text
from acme_manager.api.schemas.system import ReadyAnswer
from acme_manager.errors import InvalidRequest

routes = Blueprint("system", __name__)

_READY_WITHIN = 5.0
_PACKING = trio.CapacityLimiter(1)


@routes.get("/health")
@describe({200: Text}, security=())
async def health() -> Response:
    """Say that the server runs. Says nothing about what it depends on: see /ready."""
    return _text("Server is healthy")


@routes.get("/ready")
@describe({200: ReadyAnswer, 503: ReadyAnswer}, security=())
async def ready() -> Response:
    """Say what works and what does not: 503 when something this node needs does not work."""
    try:
        with trio.fail_after(_READY_WITHIN):
            report = await services().health.report()
            others = await services().health.others()
    except trio.TooSlowError:
        report, others = {"checks": f"not all parts answered within {_READY_WITHIN:g} s"}, {}
    works = not any(report.values())
    parts = {part: wrong or "ok" for part, wrong in {**report, **others}.items()}
    return answer({"ready": works, "parts": parts}, 200 if works else 503)


@routes.get("/.well-known/acme-challenge/", defaults={"token": ""})
@routes.get("/.well-known/acme-challenge/<token>")
@describe({200: Text}, security=(), problems=(400, 404))
async def challenge(token: str) -> Response:
    """Answer a CA's http-01 validation (RFC 8555 section 8.3)."""
    if not token:
        raise InvalidRequest("the address lacks the challenge's token", "token")
    return _text(await services().challenges.answer(token))


@routes.get("/metrics")
@describe({200: Text}, security=())
async def metrics() -> Response:
    """Prometheus metrics, in the format that `Accept` asks for."""
    headers = current_request().headers
    encoder, content_type = exposition.choose_encoder(headers.get("Accept", ""))
    openmetrics = content_type.startswith("application/openmetrics-text")
    end = b"# EOF\n" if openmetrics else b""
    inventory = await services().inventory.render(openmetrics=openmetrics)
    text = b"".join((encoder(services().registry).removesuffix(end), *inventory, end))
    if "gzip" not in headers.get("Accept-Encoding", ""):
        return Response(text, content_type=content_type)
    # Megabytes with many certificates, of which a fiftieth is left.
    packed = await trio.to_thread.run_sync(partial(gzip.compress, compresslevel=1), text, limiter=_PACKING)
    return Response(packed, content_type=content_type, headers={"Content-Encoding": "gzip"})


@routes.get("/problems")
@describe({200: Text}, security=())
async def problems() -> Response:
    """Explain every problem type."""
    return _text("\n".join(f"{kind.slug} ({kind.status})\n  {kind.title}.\n  {kind.remedy}\n" for kind in ALL_KINDS))


@routes.get("/problems/<slug>")
@describe({200: Text}, security=(), problems=(404,))
async def problem(slug: str) -> Response:
    """Explain one problem type: the `type` of a problem document is this address."""
    kind = next((one for one in ALL_KINDS if one.slug == slug), None) or abort(404)
    return _text(f"{kind.title} ({kind.status})\n\n{kind.remedy}\n")


def _text(text: str) -> Response:
    return Response(text, content_type="text/plain; charset=utf-8")
