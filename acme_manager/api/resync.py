"""`/api/v1/operations/resync`: compare the shared map with storage now, and not only every so often."""

from __future__ import annotations

import trio
from quart import Blueprint, Response

from acme_manager.api.auth import require_api_key
from acme_manager.api.encoding import answer
from acme_manager.api.forward import on_leader
from acme_manager.api.openapi import API_KEY, describe
from acme_manager.api.request import services
from acme_manager.api.schemas.operations import ResyncAnswer

routes = Blueprint("resync", __name__, url_prefix="/api/v1/operations")

_PATIENCE = 240.0  # seconds; a hundred thousand secrets take a minute or two
_MOST = 1000  # keys in each list of the answer; the counts are exact


@routes.post("/resync")
@describe({200: ResyncAnswer}, security=API_KEY, problems=(400, 401, 408, 413, 503, 504))
@on_leader
async def resync() -> Response:
    """Read every secret in storage and correct what the nodes know of it; answers with what was changed.

    The leader does this by itself every `-check-renewal-interval`; asking for it helps after a change by hand.
    """
    require_api_key()
    with trio.fail_after(_PATIENCE):
        done = await services().resync()
    changed = {
        name: {"count": len(keys), "keys": sorted(keys)[:_MOST]}
        for name, keys in (
            ("certificates_changed", done.certificates_changed),
            ("certificates_gone", done.certificates_gone),
            ("tokens_changed", done.tokens_changed),
            ("tokens_gone", done.tokens_gone),
        )
    }
    return answer({"certificates": done.certificates, "tokens": done.tokens, **changed, "seconds": done.seconds})
