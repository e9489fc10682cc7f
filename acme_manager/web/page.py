"""One page: filled, or the same as JSON."""

from __future__ import annotations

import re
from typing import Any

import structlog
from quart import Response, g

from acme_manager.api.encoding import answer
from acme_manager.api.problem_kinds import kind_of
from acme_manager.api.request import current_request, services
from acme_manager.errors import AcmeManagerError, InvalidRequest, NotAuthenticated
from acme_manager.structure import leaves
from acme_manager.web.remedies import for_people
from acme_manager.web.templates import render
from acme_manager.web.viewer import Viewer, find_viewer
from acme_manager.web.words import address

_log = structlog.get_logger(__name__)

_THEMES = frozenset({"dark", "light"})
_FOR_PROGRAMS = re.compile(r"^invalid '\w+' parameter: ")  # what stands at its field needs no name


def wants_json() -> bool:
    """Whether the caller is a program: as the Go original, by `application/json` in `Accept`."""
    return "application/json" in current_request().headers.get("Accept", "")


async def page(template: str, viewer: Viewer | None = None, status: int = 200, **context: Any) -> Response:
    """A page for people. Templates know `viewer`, `here` (the page's name), `now`, `node` and what is given."""
    request, theme = current_request(), current_request().cookies.get("acme_manager_theme", "")
    common = {
        "viewer": viewer,
        "here": request.path.rpartition("/")[2],
        "args": request.args,
        "now": services().clock.now(),
        "node": services().instance_id,
        "theme": theme if theme in _THEMES else "",
        "seen": g.get("seen", ""),
        "error": None,
    }
    text = render(template, common | context)
    return Response(text, status, content_type="text/html; charset=utf-8")


async def page_or_json(template: str, viewer: Viewer, data: Any, **context: Any) -> Response:
    """The page, or for a program what it is made of."""
    return answer(data) if wants_json() else await page(template, viewer, **context)


def go_to(target: str, **query: Any) -> Response:
    """Send the browser to another page with a GET. Addresses are relative, so that any path prefix works."""
    return Response(b"", 303, headers={"Location": address(target, **query)})


async def problem_page(failure: BaseException, document: Response) -> Response:
    """What a person sees in place of a problem document; who has to log in first is led there, and back afterwards."""
    error, request = leaves(failure)[0], current_request()
    if isinstance(error, NotAuthenticated) and request.method in {"GET", "HEAD"}:
        query = request.query_string.decode("latin-1")
        name = request.path.rpartition("/")[2]
        here = f"{name or './'}?{query}" if query else name
        return go_to("login", next=here)
    kind = kind_of(error)
    try:
        viewer = await find_viewer()
    except AcmeManagerError:
        viewer = None
    response = await page(
        "problem.html",
        viewer,
        kind.status,
        kind=kind,
        error=told(error),
        request_id=request.request_id,
        go_on_at=g.get("go_on_at", ""),
    )
    for name in ("Retry-After", "Allow"):
        if value := document.headers.get(name):
            response.headers[name] = value
    return response


def told(error: BaseException) -> dict[str, Any]:
    """An error as templates show it: a title, a sentence, a remedy, and what is wrong with which field."""
    title, remedy = for_people(kind_of(error))
    known = isinstance(error, AcmeManagerError) and str(error)
    complaints = error.complaints if isinstance(error, InvalidRequest) else ()
    return {
        "title": title,
        "detail": str(error) if known else "",
        "remedy": remedy,
        "fields": {one.where: _FOR_PROGRAMS.sub("", one.message) for one in complaints if one.where},
        "others": [one.message for one in complaints if not one.where],
    }
