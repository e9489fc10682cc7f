"""The helper itself: somebody logs in with a key or a token, looks at a page, and logs out."""

from __future__ import annotations

from acme_manager.domain.token import Scope
from tests.unit.api.world import open_api
from tests.unit.web.browser import Browser, administrator, owner


async def test_a_browser_logs_in_and_out_and_says_who_it_is() -> None:
    async with open_api() as api:
        stranger = Browser(api)
        assert (await stranger.get()).goes_to == "login"
        page = await stranger.get("login")
        refused = await stranger.submit(page.form("login"), secret="wrong")
        assert refused.status == 401
        assert "You are not logged in" in refused.said

        admin = await administrator(api)
        assert (await admin.get()).root.one("h1").text == "Ready for the first certificate"
        assert "Administrator" in (await admin.get()).id("account-menu").text

        alice = await owner(api, Scope.READ)
        page = await alice.get()
        assert "Owner alice, may read" in page.id("account-menu").text
        assert (await alice.follow(await alice.submit(page.form("logout")))).status == 200
        assert (await alice.get()).goes_to == "login"
