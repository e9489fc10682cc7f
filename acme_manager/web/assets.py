"""`/ui/static/…`: style sheet, script and icon, from the package. They are read once, when this is imported."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from importlib import resources

import attrs
from quart import Blueprint, Response, abort

from acme_manager.api.request import current_request

routes = Blueprint("ui_assets", __name__, url_prefix="/ui/static")

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"  # the address changes with the content


@attrs.frozen
class _Asset:
    content: bytes
    packed: bytes
    type: str
    digest: str


def _read() -> Mapping[str, _Asset]:
    found = {}
    for entry in resources.files("acme_manager.web").joinpath("static").iterdir():
        kind = _TYPES.get(entry.name[entry.name.rfind(".") :])
        if kind is not None:
            content = entry.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            found[entry.name] = _Asset(content, gzip.compress(content, mtime=0), kind, digest)
    return found


_ASSETS = _read()


def asset_url(name: str) -> str:
    """The address of a file, relative to any page."""
    return f"static/{name}?v={_ASSETS[name].digest}"


@routes.get("/<name>")
async def asset(name: str) -> Response:
    """A file of the UI. Anybody may have it: the log-in page needs it."""
    found = _ASSETS.get(name) or abort(404)
    headers = {"Cache-Control": _FOREVER, "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
    if "gzip" in current_request().headers.get("Accept-Encoding", ""):
        return Response(found.packed, headers=headers | {"Content-Encoding": "gzip"}, content_type=found.type)
    return Response(found.content, headers=headers, content_type=found.type)
