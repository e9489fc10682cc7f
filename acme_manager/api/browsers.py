"""People who open an address of the API in a browser: they are led to the page about it."""

from __future__ import annotations

from quart import Response

from acme_manager.api.request import current_request


def is_browser() -> bool:
    """Whether a page is wanted. `Accept` names `text/html` then; programs ask for JSON, for anything or for nothing."""
    accept = current_request().headers.get("Accept", "")
    return "text/html" in accept and "application/json" not in accept


def lead_to(page: str) -> Response:
    """Send a browser to a page. The address is relative, so that any path prefix works."""
    return Response(b"", 303, headers={"Location": page, "Vary": "Accept"})
