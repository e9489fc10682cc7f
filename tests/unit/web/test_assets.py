"""Style sheet, script and icon: small, kept by browsers for ever, and nothing else is to be had there."""

from __future__ import annotations

import gzip
import re
from importlib import resources

from tests.unit.api.world import open_api
from tests.unit.web.browser import Browser

FILES = sorted(one.name for one in resources.files("acme_manager.web").joinpath("static").iterdir())


async def test_pages_name_files_by_their_content_and_browsers_keep_them_for_ever() -> None:
    async with open_api() as api:
        page = await Browser(api).get("login")
        links = [one["href"] for one in page.root.all("link")] + [one["src"] for one in page.root.all("script")]
        assert len(links) == len(set(links)) == 3
        for link in links:
            assert re.fullmatch(r"static/[a-z]+\.(css|js|svg)\?v=[0-9a-f]{16}", link)
            plain = await api.client.get(f"/ui/{link}", headers={"Accept-Encoding": "identity"})
            packed = await api.client.get(f"/ui/{link}", headers={"Accept-Encoding": "br, gzip"})
            assert packed.headers["Content-Encoding"] == "gzip"
            assert "Content-Encoding" not in plain.headers
            assert gzip.decompress(await packed.get_data(as_text=False)) == await plain.get_data(as_text=False)
            for answered in (plain, packed):
                assert "immutable" in answered.headers["Cache-Control"]
                assert answered.headers["Vary"] == "Accept-Encoding"
                assert answered.headers["X-Content-Type-Options"] == "nosniff"
                assert answered.headers["Content-Type"].startswith(("text/css", "text/javascript", "image/svg+xml"))
                assert answered.headers.getlist("Set-Cookie") == []


def test_files_are_ours_alone_and_load_nothing_from_elsewhere() -> None:
    assert FILES == ["app.css", "app.js", "icon.svg"]
    for name in FILES:
        text = resources.files("acme_manager.web").joinpath("static", name).read_text()
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import|<script|\bimport\b", text), name
        assert not re.findall(r"\beval\b|innerHTML|insertAdjacentHTML|document\.write|new Function", text), name
        assert len(gzip.compress(text.encode())) < 30_000


NOT_THERE = (
    "app.py", "", ".", "..", "../page.py", "..%2fpage.py", "%2e%2e/page.py", "..\\page.py", "app.css/", "app.css%00",
    "/etc/passwd",
)  # fmt: skip


async def test_there_is_nothing_else() -> None:
    async with open_api() as api:
        for path in NOT_THERE:
            answered = await api.client.get(f"/ui/static/{path}")
            assert answered.status_code == 404, path
            assert "import" not in await answered.get_data(as_text=True)
