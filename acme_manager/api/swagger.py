"""`/swagger`: the OpenAPI document, and the Swagger UI from the package, so that no other host is needed."""

from __future__ import annotations

import trio
from quart import Blueprint, Response, abort, current_app, redirect
from swagger_ui_bundle import swagger_ui_path

from acme_manager.api.encoding import answer
from acme_manager.api.openapi import document

routes = Blueprint("swagger", __name__, url_prefix="/swagger")

# An allow-list, so that no path from outside reaches the file system.
_ASSETS = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-16x16.png": "image/png",
    "favicon-32x32.png": "image/png",
}

_PAGE = """<!doctype html>
<html lang=en>
<meta charset=utf-8>
<title>ACME Manager: API</title>
<link rel=stylesheet href=swagger-ui.css>
<link rel=icon type=image/png href=favicon-32x32.png>
<div id=swagger-ui></div>
<script src=swagger-ui-bundle.js></script>
<script src=start.js></script>
</html>
"""

_START = 'SwaggerUIBundle({url: "doc.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});\n'

# The UI sets style attributes and has its icons in data URLs; everything else comes from here.
_PAGE_POLICY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'",
}


@routes.get("")
@routes.get("/")
async def start() -> Response:
    """Lead to the page."""
    response = redirect("/swagger/index.html")
    assert isinstance(response, Response)
    return response


@routes.get("/index.html")
async def page() -> Response:
    """The Swagger UI."""
    return Response(_PAGE, headers=_PAGE_POLICY, content_type="text/html; charset=utf-8")


@routes.get("/doc.json")
async def openapi() -> Response:
    """The OpenAPI document."""
    return answer(document(current_app))


@routes.get("/<file>")
async def asset(file: str) -> Response:
    """A file of the Swagger UI."""
    if file == "start.js":
        return Response(_START, content_type="text/javascript; charset=utf-8")
    if file not in _ASSETS:
        abort(404)
    content = await trio.Path(swagger_ui_path / file).read_bytes()
    return Response(content, headers={"Cache-Control": "max-age=86400"}, content_type=_ASSETS[file])
