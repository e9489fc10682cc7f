"""The page about our own rate limits: which windows are open, how full they are, and whose."""

from __future__ import annotations

import attrs

from acme_manager.config.model import Common
from acme_manager.domain.certificate import Certificate
from acme_manager.ports import Step
from acme_manager.services.rate_limits import Operation
from tests.unit.api.world import Api, open_api
from tests.unit.services.world import ALICE
from tests.unit.web.browser import Browser, administrator, owner
from tests.unit.web.test_login import configure

LIMITED = Common(rate_limit_enabled=True, rate_limit_window=3600, rate_limit_max_requests=2)


def order(api: Api, owner: str, domain: str, times: int = 1) -> None:
    wanted = Certificate(owner=owner, issuer="test", domain=domain)
    for _ in range(times):
        with api.world.rate_limits.counted(attrs.evolve(ALICE, username=owner), wanted, Operation.CREATE):
            api.world.progress.publish(wanted.id, Step.ORDERED)


async def test_the_fullest_window_comes_first_and_says_when_it_is_free_again() -> None:
    async with open_api(common=LIMITED) as api:
        order(api, "alice", "a.example")
        order(api, "bob", "b.example", times=2)
        page = await (await administrator(api)).get("ratelimits")
        assert "2 times in 60 minutes" in page.root.one(class_="page-head").text
        first, second = page.id("limit-list").one("tbody").all("tr")
        assert first.text == "b.example bob test 2 of 2 Full now in 60 minutes"
        assert second.text == "a.example alice test 1 of 2 now in 60 minutes"
        assert [row.one("svg")["aria-label"] for row in (first, second)] == ["2 of 2 orders used", "1 of 2 orders used"]


async def test_owners_see_their_own_and_whoever_searches_what_fits() -> None:
    async with open_api(common=LIMITED) as api:
        order(api, "alice", "a.example")
        order(api, "bob", "b.example")
        bob = await owner(api, username="bob")
        assert "a.example" not in (await bob.get("ratelimits")).body
        assert [one["Owner"] for one in (await bob.json("ratelimits")).json] == ["bob"]
        assert (await bob.json("ratelimits?q=alice")).json == []
        admin = await administrator(api)
        found = await admin.submit((await admin.get("ratelimits")).form("ratelimits"), q="ALICE a.ex")
        assert [row.one("th").text for row in found.id("limit-list").one("tbody").all("tr")] == ["a.example"]
        assert [one["Domain"] for one in (await admin.json("ratelimits?q=b.example")).json] == ["b.example"]
        configure(api, public_read=True)
        assert len((await Browser(api).json("ratelimits")).json) == 2


async def test_it_says_when_nothing_is_used_up_or_limits_are_off() -> None:
    async with open_api() as api:
        page = await (await administrator(api)).get("ratelimits")
        assert "Our own limits on orders are off" in page.text
        assert "Nothing has been used up" in page.text
