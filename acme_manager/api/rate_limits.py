"""`/ratelimits`: how much of `common.rate_limit_*` has been used up, in the members of the Go original's JSON."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from quart import Blueprint, Response

from acme_manager.api.auth import require_api_key, require_token
from acme_manager.api.browsers import is_browser, lead_to
from acme_manager.api.encoding import answer
from acme_manager.api.openapi import API_KEY, BEARER, describe
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.common import Nothing
from acme_manager.api.schemas.system import RateLimitsAnswer
from acme_manager.domain.gotime import format_time
from acme_manager.domain.rate_limit import Usage

routes = Blueprint("rate_limits", __name__)


@routes.get("/ratelimits")
@describe({200: RateLimitsAnswer, 303: Nothing}, security=(API_KEY, BEARER), problems=(401, 503))
async def rate_limits() -> Response:
    """List the orders that count against a limit: everybody's with the API key, the owner's own with a token.

    Browsers are led to the page about that.
    """
    if is_browser():
        return lead_to("ui/ratelimits")
    owner = None
    if "X-API-Key" in current_request().headers:
        require_api_key()
    else:
        owner = require_token().username
    now = services().clock.now()
    return answer([usage_record(usage, now) for usage in services().rate_limits.list(owner)])


def usage_record(usage: Usage, now: datetime) -> dict[str, Any]:
    """In the members of the Go original."""
    return {
        "Owner": usage.owner,
        "Issuer": usage.issuer,
        "Domain": usage.domain,
        "Name": usage.name,
        "RequestCount": usage.request_count,
        "MaxRequests": usage.max_requests,
        "WindowStart": format_time(usage.start),
        "WindowEnd": format_time(usage.end()),
        "Remaining": _remaining((usage.end() - now).total_seconds()),
    }


def _remaining(seconds: float) -> str:
    """`1h5m`, `5m10s`, `10s`, or `expired`."""
    if seconds <= 0:
        return "expired"
    minutes, rest = divmod(math.ceil(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60}m"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
