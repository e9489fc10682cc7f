"""`scripts/screenshots [FOLDER]`: pictures of every page, of a server with a past (demo.py), for the documentation."""

from __future__ import annotations

import io
import logging
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import structlog
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.bench.figures import say
from tests.browser.backstage import backstage
from tests.browser.demo import SHOP, open_demo
from tests.browser.person import DESKTOP, PHONE, Person, start_chromium
from tests.browser.stage import Stage
from tests.parts.node import API_KEY

_FOLDER = Path(__file__).parents[2] / "docs" / "images"
_COLUMNS = ("domain", "condition", "owner", "issuer", "expires", "due", "labels")
_shop = urlencode(SHOP)
_PAGES: Mapping[str, str] = {
    "operations": "operations",
    "operation": "operation?id=1",
    "certificates": f"certificates?{urlencode({'columns': _COLUMNS}, doseq=True)}",
    "certificate": f"certificate?{_shop}",
    "certificate-request": "certificate-request?owner=web&issuer=public&domain=blog.example.test",
    "certificate-update": f"certificate-update?{_shop}",
    "certificate-revoke": f"certificate-revoke?{_shop}",
    "inventory": "inventory",
    "issuers": "issuers",
    "dns": "dns",
    "ratelimits": "ratelimits",
    "cluster": "cluster",
    "operation-new": "operation-new?owners=web",
    "tokens": "tokens",
    "token-create": "token-create",
    "audit": "audit",
}
_HIGHEST = 1600  # pixels; what is further down is more of the same


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if a page had faults."""
    folder = Path(arguments[0]) if arguments else _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name, sync_playwright() as playwright:
        say("starting three nodes with everything around them, and giving them a past …")
        with backstage(lambda: open_demo(Path(name))) as opened:
            browser = start_chromium(playwright, Path(name))
            faults = _take_all(browser, opened.value, folder)
            browser.close()
    say("\n".join(faults))
    return 1 if faults else 0


def _take_all(browser: Browser, stage: Stage, folder: Path) -> list[str]:
    desk, dark = _at_desk(browser, stage), _at_desk(browser, stage, color_scheme="dark")
    phone = _at_desk(browser, stage, viewport=PHONE, device_scale_factor=2)
    _take(desk, folder, "login", "login")
    for person, name in ((desk, "home"), (dark, "home-dark"), (phone, "home-phone")):
        person.log_in(API_KEY)
        _take(person, folder, name, "")
    for name, address in _PAGES.items():
        _take(desk, folder, name, address)
    return desk.faults + dark.faults + phone.faults


def _at_desk(browser: Browser, stage: Stage, **options: Any) -> Person:
    usual = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce"}
    return Person.at(browser.new_context(**{**usual, **options}), stage.url)


def _take(person: Person, folder: Path, name: str, address: str) -> None:
    path = folder / f"{name}.png"
    person.go(address)
    page = person.page
    page.locator("[aria-busy=true]").wait_for(state="detached")
    width = page.evaluate("innerWidth")
    height = min(_HIGHEST, page.evaluate("document.documentElement.scrollHeight"))
    shot = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    _with_few_colours(Image.open(io.BytesIO(shot)).convert("RGB")).save(path, optimize=True)
    say(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def _with_few_colours(picture: Image.Image) -> Image.Image:
    """A third as large: grounds and texts as they are, and the rest so that small marks keep their colour."""
    counted = sorted(picture.getcolors(picture.width * picture.height) or (), reverse=True)
    common = [channel for _, colour in counted[:128] for channel in cast("tuple[int, int, int]", colour)]
    covering = picture.quantize(128, Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette(common + covering)
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
