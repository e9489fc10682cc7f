"""`/`, `/certificates` and `/tokens`: the pages of the Go original. Browsers are led to ours, programs get its JSON."""

from __future__ import annotations

from quart import Blueprint, Response

from acme_manager.api.browsers import is_browser, lead_to
from acme_manager.api.encoding import answer
from acme_manager.api.openapi import API_KEY, BEARER, describe
from acme_manager.api.request import API_KEY_CHALLENGE, current_request, services
from acme_manager.api.schemas.certificates import OriginalCertificatesAnswer
from acme_manager.api.schemas.common import Nothing
from acme_manager.api.schemas.tokens import OriginalTokensAnswer
from acme_manager.errors import AdministratorsOnly
from acme_manager.web.certificates import original_records
from acme_manager.web.tokens import without_hash
from acme_manager.web.viewer import find_viewer

routes = Blueprint("original", __name__)

_PROBLEMS = (401, 403, 503)


@routes.get("/")
@describe({303: Nothing}, security=())
async def index() -> Response:
    """Lead to the pages for people."""
    return lead_to("ui/")


@routes.get("/certificates")
@describe({200: OriginalCertificatesAnswer, 303: Nothing}, security=(API_KEY, BEARER), problems=_PROBLEMS)
async def certificates() -> Response:
    """List certificates as the Go original does, with the challenges that count: all with the API key, or the owner's.

    Where `ui.public_read` is set, everybody gets all of them. Browsers are led to the page about it.
    """
    if is_browser():
        return lead_to("ui/certificates")
    viewer = await find_viewer()
    return answer(await original_records(services().certificates.list(viewer.whose)))


@routes.get("/tokens")
@describe({200: OriginalTokensAnswer, 303: Nothing}, security=API_KEY, problems=_PROBLEMS)
async def tokens() -> Response:
    """List all tokens by id as the Go original does, but without their hashes: with the API key.

    Where `ui.public_read` is set, everybody gets them. Browsers are led to the page about it.
    """
    if is_browser():
        return lead_to("ui/tokens")
    current_request().challenge = API_KEY_CHALLENGE
    viewer = await find_viewer()
    if not viewer.sees_all:
        raise AdministratorsOnly
    return answer({one.id: without_hash(one) for one in services().tokens.list()})
