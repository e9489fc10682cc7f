"""The page about CAs: whether they can be used, what they say of themselves, and how much room is left at each."""

from __future__ import annotations

import attrs

from acme_manager.config.ui import UiConfig
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import DirectoryUnavailable, IssuerRateLimited, Problem
from acme_manager.services.settings import Settings
from tests.fakes.ca import MemoryCa
from tests.unit.api.world import Api, open_api
from tests.unit.services.cataloguing import certificate
from tests.unit.services.world import with_limits
from tests.unit.web.browser import Browser, Element, Page, administrator, owner


def settings_of(api: Api) -> Settings:
    return api.world.issuing.settings


def card(page: Page, name: str) -> Element:
    """The card of one issuer."""
    (found,) = [one for one in page.root.all("section", class_="card") if one.one("h2").text == name]
    return found


async def test_it_says_how_each_issuer_is_and_what_it_offers() -> None:
    async with open_api() as api:
        api.world.state.publish(certificate("a.example", issuer="test"))
        api.world.findings.note("test", None)
        page = await (await administrator(api)).get("issuers")
        bare, test = card(page, "bare"), card(page, "test")
        assert "Not looked at yet" in bare.text
        for words in ("In order", "https://ca.test/dir", "https://ca.test/account/1", "http-01 (kvring)"):
            assert words in test.text
        link = test.one(class_="card-head").one("a")
        assert (link["href"], link.text) == ("certificates?issuer=test", "1 certificate")


async def test_what_is_wrong_is_told_with_what_stands_in_meanwhile() -> None:
    async with open_api(fallback={"spare": MemoryCa()}) as api:
        api.world.findings.note("test", None)
        api.world.findings.note("test", DirectoryUnavailable("no such host"))
        test = card(await (await administrator(api)).get("issuers"), "test")
        for words in ("be used", "no such host", "It was last in order", "Meanwhile spare stands in"):
            assert words in test.text


async def test_room_and_pauses_are_shown_with_when_there_is_more() -> None:
    async with open_api() as api:
        with_limits(settings_of(api), "letsencrypt")
        www = [parse_identifier("www.example.com")]
        for _ in range(4):
            api.world.budgets.admit("test", www, renewal=False)
        refusal = IssuerRateLimited("too many", Problem("urn:ietf:params:acme:error:rateLimited", "too many"), 600.0)
        api.world.budgets.refused("test", [parse_identifier("b.example.com")], refusal)
        admin = await administrator(api)
        test = card(await admin.get("issuers"), "test")
        for words in (
            "Orders of our account 287 of 300 left",
            "www.example.com · Certificates for the same names 0 of 5 left, next in 5 minutes",
            "Paused by the CA",
            "in 10 minutes",
            "Preset “letsencrypt”",
        ):
            assert words in test.text
        assert test.all("svg", aria_label="287 of 300 left")
        records = (await admin.json("issuers")).json
        assert [one["name"] for one in records] == ["bare", "test"]
        assert records[1]["budget"][0] == {"limit": "new_orders", "count": 300, "left": 287}
        assert records == await (await api.client.get("/api/v1/issuers", headers={"X-API-Key": "admin"})).get_json()


async def test_a_token_sees_the_issuers_that_it_may_use_and_counts_its_own() -> None:
    async with open_api() as api:
        api.world.state.publish(certificate("a.example", issuer="test"))
        for issuers, seen in (((), ["bare", "test"]), (("te*",), ["test"]), (("nothing",), [])):
            bob = await owner(api, username=f"bob{len(seen)}", issuers=issuers)
            page = await bob.get("issuers")
            assert [one["name"] for one in (await bob.json("issuers")).json] == seen
            assert [one.one("h2").text for one in page.root.all("section", class_="card")] == seen
            assert "1 certificate" not in page.text
        assert "The token you use may request from none" in page.text
        settings = api.services.settings
        settings.go_by(attrs.evolve(settings.config, ui=UiConfig(public_read=True)))
        assert "1 certificate" in card(await Browser(api).get("issuers"), "test").text


async def test_without_any_it_says_where_to_begin() -> None:
    async with open_api() as api:
        settings = api.services.settings
        settings.go_by(attrs.evolve(settings.config, issuers={}))
        page = await (await administrator(api)).get("issuers")
        assert "There is no issuer" in page.text
        assert "config.yml" in page.text
