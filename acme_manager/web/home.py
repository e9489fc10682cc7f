"""`/ui/`: the first look. What is wrong, what comes next, whether the cluster is sound, and what is happening now."""

from __future__ import annotations

from quart import Blueprint, Response

from acme_manager.web.page import go_to, page
from acme_manager.web.viewer import find_viewer

routes = Blueprint("ui_home", __name__, url_prefix="/ui")


@routes.get("")
async def without_slash() -> Response:
    """All pages are in one folder, and this is its address."""
    return go_to("ui/")


@routes.get("/")
async def home() -> Response:
    """The first page."""
    viewer = await find_viewer()
    return await page("home.html", viewer)
