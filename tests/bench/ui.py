"""`scripts/bench ui`: how soon pages are there with very many certificates, and how much has to be fetched for them.

The server is a node in memory, in a process of its own. Times are from request to last byte; what a browser takes until
it shows something is asked of Chromium itself.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import httpx
import trio
from playwright.sync_api import Browser, sync_playwright

from acme_manager.structure import lone_error
from tests.bench import machine
from tests.bench.figures import say, spread, table
from tests.bench.parts import BenchFailed
from tests.browser.person import start_chromium
from tests.unit.api.world import ADMIN

_HOME, _TABLE = 10_000, 50_000  # certificates
_WEIGHT, _PAINT = 100_000, 200.0  # aims: octets for everything; milliseconds
_START = 120.0  # seconds for the server, with its records
_PAGES: Mapping[str, str] = {
    "certificates": "the table",
    "certificates?q=host1234": "a search with few hits",
    "certificates?q=shop": "a search with many",
    "certificates?sort=-domain": "sorted by name, backwards",
    "certificates?sort=expires&offset=49950": "its last page, by expiry",
    "certificates?label=env%3Dprod&condition=fine": "filtered by label and condition",
}


@attrs.frozen(kw_only=True)
class Fetched:
    """One page: milliseconds of each request, octets of the answer."""

    took: Sequence[float]
    octets: int


@attrs.frozen(kw_only=True)
class Painted:
    """What Chromium saw of the first page, in milliseconds; `octets` is everything that it fetched.

    `bare` is `/health`, three words without a style: what Chromium itself takes on the machine as it is.
    """

    bare: Sequence[float]
    cold: Sequence[float]
    warm: Sequence[float]
    octets: int


async def bench_ui(rounds: int) -> None:
    """Print the figures. Raises BenchFailed, PartFailed."""
    say(f"ui: pages of a node in memory, {_HOME:,} and {_TABLE:,} certificates")
    for what, value in machine.description().items():
        say(f"  {what}: {value}")
    say(f"  load average before: {machine.load()}")
    repeats, rows = 7 * rounds, [("page", "certificates", "ms", "kB")]
    painted = dict[str, Painted]()
    for words, situation in (("the first page", "calm"), ("the first page, much in disorder", "disorder")):
        async with _serving(_HOME, situation) as url:
            rows.append(_row(words, _HOME, await _fetch(url, "", repeats)))
            painted[words] = await trio.to_thread.run_sync(_paint, url, repeats, limiter=trio.CapacityLimiter(1))
    async with _serving(_TABLE, "calm") as url:
        for address, words in _PAGES.items():
            rows.append(_row(words, _TABLE, await _fetch(url, address, repeats)))
    say("\n" + table(rows))
    for words, seen in painted.items():
        say(f"\n{words} in Chromium: first contentful paint after {spread(seen.cold)} ms with nothing kept,")
        ours = statistics.median(seen.cold) - statistics.median(seen.bare)
        say(f"{spread(seen.warm)} ms with style and script kept; {seen.octets / 1000:.1f} kB fetched in all")
        weight = "reached" if seen.octets < _WEIGHT else "MISSED"
        paint = "reached" if statistics.median(seen.cold) < _PAINT else "MISSED"
        say(f"/health, three words of text, takes it {spread(seen.bare)} ms: the difference is {ours:.0f} ms")
        say(f"aims: under {_WEIGHT / 1000:g} kB ({weight}), under {_PAINT:g} ms ({paint})")
    say(f"  load average after: {machine.load()}")


def _row(words: str, number: int, page: Fetched) -> tuple[str, str, str, str]:
    return words, f"{number:,}", spread(page.took), f"{page.octets / 1000:.1f}"


@asynccontextmanager
async def _serving(number: int, situation: str) -> AsyncIterator[str]:
    command = [sys.executable, "-m", "tests.bench.ui_server", str(number), situation]
    with lone_error():
        async with trio.open_nursery() as nursery:
            start = partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
            process = await nursery.start(start)
            try:
                with trio.fail_after(_START):
                    url = await _address(process)
                yield url
            finally:
                nursery.cancel_scope.cancel()


async def _address(process: trio.Process) -> str:
    assert process.stdout is not None
    line = b""
    async for part in process.stdout:
        line += part
        if line.endswith(b"\n"):
            return line.decode().strip()
    raise BenchFailed("the server with the certificates has ended")


async def _fetch(url: str, address: str, repeats: int) -> Fetched:
    took, octets = list[float](), 0
    async with httpx.AsyncClient(headers=ADMIN, trust_env=False, timeout=30) as client:
        for number in range(repeats + 1):
            began = time.perf_counter()
            answer = await client.get(f"{url}/ui/{address}")
            if number:  # the first one finds nothing prepared
                took.append((time.perf_counter() - began) * 1000)
            if answer.status_code != httpx.codes.OK:
                raise BenchFailed(f"/ui/{address} answers {answer.status_code}: {answer.text[:300]}")
            octets = answer.num_bytes_downloaded
    return Fetched(took=took, octets=octets)


def _paint(url: str, repeats: int) -> Painted:
    with tempfile.TemporaryDirectory(prefix="acme-manager-bench-") as folder, sync_playwright() as playwright:
        browser = start_chromium(playwright, Path(folder))
        try:
            return _looked_at(browser, url, repeats)
        finally:
            browser.close()


def _looked_at(browser: Browser, url: str, repeats: int) -> Painted:
    first = browser.new_context()
    page = first.new_page()
    page.goto(f"{url}/ui/login")
    page.fill("input[name=secret]", "admin")
    page.click("button.primary")
    page.wait_for_url("**/ui/")
    bare, cold, warm, octets = list[float](), list[float](), list[float](), 0
    for _ in range(repeats):
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{url}/health")
        bare.append(page.evaluate(_FIRST_PAINT))
        context.close()
        context = browser.new_context(storage_state=first.storage_state())
        page = context.new_page()
        for times in (cold, warm):
            page.goto(f"{url}/ui/")
            times.append(page.evaluate(_FIRST_PAINT))
            octets = max(octets, page.evaluate(_FETCHED))
        context.close()
    return Painted(bare=bare, cold=cold, warm=warm, octets=octets)


_FIRST_PAINT = """new Promise((done) => new PerformanceObserver((list) => {
    for (const one of list.getEntriesByName('first-contentful-paint')) done(one.startTime);
}).observe({type: 'paint', buffered: true}))"""
_FETCHED = """[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .reduce((sum, one) => sum + one.transferSize, 0)"""
