"""`/api/v1/events`: wait until something about the caller's certificates changes.

A long poll and no stream: each answer ends, so that any proxy passes it on, and a stop of the server waits for none.
"""

from __future__ import annotations

import math

import trio
from quart import Blueprint, Response

from acme_manager.api.auth import require_token
from acme_manager.api.encoding import answer
from acme_manager.api.openapi import describe
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.hosts import EventsAnswer, EventsQuery
from acme_manager.domain.certificate import Certificate
from acme_manager.errors import InvalidRequest

routes = Blueprint("events", __name__, url_prefix="/api/v1/events")

_WAIT, _LONGEST = "25", 300  # seconds


@routes.get("")
@describe({200: EventsAnswer}, query=EventsQuery, problems=(400, 401, 503))
async def wait_for_change() -> Response:
    """Wait until one of the owner's certificates comes, changes or goes.

    The answer comes at once when `digest` is not that of now. It comes after `wait` seconds (0 to 300, 25 unless given)
    when nothing has changed, or earlier when the node stops: ask again then. A token that is revoked or expires
    meanwhile ends the wait (401). Any node answers for itself.
    """
    request, caller = current_request(), require_token()
    seconds, known = _seconds(request.args.get("wait") or _WAIT), request.args.get("digest", "")
    began = trio.current_time()
    try:
        digest = await services().changes.wait(caller, known, seconds)
    finally:
        request.waited = trio.current_time() - began
    owner = require_token().username
    changed = digest != known
    certificates = services().changes.listing(owner) if changed else ()
    return answer({"digest": digest, "changed": changed, "certificates": [_shown(one) for one in certificates]})


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _LONGEST:
        raise InvalidRequest(f"'wait' must be a number of seconds from 0 to {_LONGEST}, not '{text[:40]}'", "wait")
    return seconds


def _shown(certificate: Certificate) -> dict[str, str | int]:
    return {
        "issuer": certificate.issuer,
        "domain": certificate.domain,
        "name": certificate.name,
        "fingerprint": certificate.fingerprint,
        "updated_at": certificate.updated_at,
    }
