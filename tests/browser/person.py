"""Somebody at a browser that tells on a page: whatever Chromium finds wrong with it makes the test fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    Response,
    ViewportSize,
    WebError,
    expect,
)

from tests.parts.program import PATH, PartFailed

PATIENCE = 20_000  # milliseconds for what has to happen
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}

expect.set_options(timeout=PATIENCE)

# Nothing that it wants to know by itself leaves it; and small shared memory, as in containers, is enough.
_FLAGS = ("--disable-background-networking", "--no-proxy-server", "--disable-dev-shm-usage")
_ABORTED = (
    "net::ERR_ABORTED"  # what a page has under way when it is left; but nobody is on the way to two pages at once
)


def start_chromium(playwright: Playwright, folder: Path) -> Browser:
    """Debian's. Raises PartFailed."""
    path = shutil.which("chromium", path=PATH)
    if path is None:
        raise PartFailed("chromium is not installed; the package chromium has it (scripts/test installs it)")
    environ: dict[str, str | float | bool] = {
        "PATH": PATH,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
    }
    # Root can't have Chromium's sandbox; it sees no pages but ours.
    return playwright.chromium.launch(
        executable_path=path, args=_FLAGS, env=environ, chromium_sandbox=os.geteuid() != 0, timeout=PATIENCE
    )


@attrs.define(eq=False, slots=False)  # Playwright hangs something on whose methods it calls
class Person:
    """`url` is the server without `/ui`. Statuses from 400 on are faults but for those in `foreseen`."""

    page: Page
    url: str
    faults: list[str] = attrs.field(factory=list)
    foreseen: set[int] = attrs.field(factory=set)

    @classmethod
    def at(cls, context: BrowserContext, url: str) -> Person:
        """Open a page, and look at all that goes wrong in it."""
        context.set_default_timeout(PATIENCE)
        person = cls(context.new_page(), url)
        context.on("console", person._hear)
        context.on("weberror", person._see_error)
        context.on("request", person._see_request)
        context.on("requestfailed", person._see_failure)
        context.on("response", person._see_response)
        return person

    def go(self, address: str = "") -> None:
        """Open a page of ours by its relative address."""
        self.page.goto(f"{self.url}/ui/{address}")

    def log_in(self, secret: str) -> None:
        """Log in with the API key or a token, at the page where one is asked to."""
        if not self.page.url.startswith(f"{self.url}/ui/login"):
            self.go("login")
        self.page.get_by_label("API key or token").fill(secret)
        self.page.get_by_role("button", name="Log in", exact=True).click()
        expect(self.page.locator("header.top")).to_be_visible()

    def stay(self) -> None:
        """Note in the page that it has not been left since."""
        self.page.evaluate("window.stayed = true")

    def stayed(self) -> bool:
        """Whether it is still the same page, never loaded again."""
        return bool(self.page.evaluate("window.stayed === true"))

    @contextmanager
    def foreseeing(self, status: int) -> Iterator[None]:
        """Let the server answer with an error for once."""
        self.foreseen.add(status)
        yield
        self.foreseen.discard(status)

    def check(self) -> None:
        """Raise AssertionError for what was wrong so far."""
        assert not self.faults, "\n".join(self.faults)

    def _hear(self, message: ConsoleMessage) -> None:
        # What it says of a status we see ourselves.
        if message.type in {"error", "warning"} and "the server responded with a status of" not in message.text:
            self.faults.append(f"console: {message.text} ({message.location})")

    def _see_error(self, error: WebError) -> None:
        self.faults.append(f"script: {error.error.message} {error.error.stack}")

    def _see_request(self, request: Request) -> None:
        ours = request.frame.url.startswith(self.url) or request.is_navigation_request()
        if ours and not (urlsplit(request.url).hostname or "").startswith("127."):
            self.faults.append(f"asks elsewhere: {request.url}")

    def _see_failure(self, request: Request) -> None:
        if not (request.failure == _ABORTED and request.resource_type != "document"):
            self.faults.append(f"request failed: {request.method} {request.url}: {request.failure}")

    def _see_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.foreseen:
            self.faults.append(f"status {response.status}: {response.request.method} {response.url}")
