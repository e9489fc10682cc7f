"""A page that is asked for before its node has heard of what it shows."""

from __future__ import annotations

import json

import trio
import trio.testing

from acme_manager.domain.gotime import rfc3339
from tests.unit.api.world import open_api
from tests.unit.services.world import NOW
from tests.unit.web.browser import Page, administrator

WANTED = "certificate?owner=alice&issuer=test&domain=new.example"
RUNNING = [{"began": rfc3339(NOW), "outcome": "running", "reason": "requested", "steps": [], "records": []}]


async def test_who_comes_from_a_form_waits_until_the_node_has_heard_of_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_api() as api, trio.open_nursery() as nursery:
        browser, pages = await administrator(api), list[Page]()

        async def ask() -> None:
            pages.append(await browser.get(f"{WANTED}&said=requested"))

        with api.services.signals.following():
            nursery.start_soon(ask)
            await trio.sleep(1)
            assert pages == []
            api.world.cluster.put("attempt/alice/test/new.example", json.dumps(RUNNING).encode())
            await trio.sleep(1)
        assert [one.status for one in pages] == [200]


async def test_nobody_waits_for_ever_and_without_a_form_nobody_waits(autojump_clock: trio.testing.MockClock) -> None:
    async with open_api() as api:
        browser = await administrator(api)
        began = trio.current_time()
        assert (await browser.get(WANTED)).status == 404
        assert trio.current_time() == began
        assert (await browser.get(f"{WANTED}&said=requested")).status == 404
        assert 2 < trio.current_time() - began < 5
