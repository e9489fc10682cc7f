"""`/ui/ratelimits`: how much of `common.rate_limit_*` has been used up, by owner and certificate."""

from __future__ import annotations

from quart import Blueprint, Response

from acme_manager.api.rate_limits import usage_record
from acme_manager.api.request import current_request, services
from acme_manager.web.page import page_or_json
from acme_manager.web.viewer import find_viewer

routes = Blueprint("ui_rate_limits", __name__, url_prefix="/ui")

_MOST = 500  # rows of a page; the search finds the others


@routes.get("/ratelimits")
async def rate_limits() -> Response:
    """The windows that are open, the fullest first."""
    viewer, now = await find_viewer(), services().clock.now()
    words = current_request().args.get("q", "").casefold().split()
    used = [one for one in services().rate_limits.list(viewer.whose) if one.end() > now]
    found = [one for one in used if all(word in one.id.key.casefold() for word in words)]
    found.sort(key=lambda one: (-one.request_count / max(1, one.max_requests), one.id.key))
    return await page_or_json(
        "ratelimits.html",
        viewer,
        [usage_record(one, now) for one in found],
        common=services().settings.common,
        shown=found[:_MOST],
        total=len(found),
        q=current_request().args.get("q", ""),
    )
