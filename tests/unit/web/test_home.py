"""The first page: whether anything is wrong, and what helps; and what owners and the public see of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from acme_manager.domain.token import Scope
from acme_manager.services.settings import Settings
from tests.bench.ui_server import disturb, seed
from tests.unit.api.world import Api, open_api
from tests.unit.web.browser import Browser, Page, administrator, owner

HEAVIEST = 60_000  # octets of the page, in the worst case; style and script come to 15,000 more


@asynccontextmanager
async def in_disorder(number: int = 300) -> AsyncIterator[Api]:
    async with open_api() as api:
        seed(api, number)
        disturb(api)
        yield api


def wrong(page: Page) -> dict[str, Any]:
    """What is wrong, by its heading."""
    items = page.id("wrong").one("ul", class_="wrong").parts
    return {one.one("h3").text: one for one in items if not isinstance(one, str) and one.all("h3")}


def public(settings: Settings) -> None:
    settings.config = attrs.evolve(settings.config, ui=attrs.evolve(settings.config.ui, public_read=True))


async def test_it_says_at_once_that_all_is_well_and_what_is_next() -> None:
    async with open_api() as api:
        seed(api, 3)
        page = await (await administrator(api)).get()
        assert page.root.one("h1").text == "Everything is in order"
        assert "3 certificates, next renewal in" in page.id("summary").text
        assert "good" in page.id("summary")["class"]
        assert not page.id("wrong").all("li")
        pictures = page.id("upcoming").all("svg", class_="life", role="img")
        assert len(pictures) == 3
        assert all("Renewal is planned for" in one["aria-label"] for one in pictures)
        assert page.id("upcoming").one("svg", class_="histogram")["aria-label"].startswith("Planned renewals of the")
        assert "1 of 1 there" in page.id("cluster").text


async def test_failures_with_one_cause_are_one_thing_with_its_reason_and_its_remedy() -> None:
    async with in_disorder() as api:
        page = await (await administrator(api)).get()
        found = wrong(page)
        assert page.root.one("h1").text == f"{len(found)} things need you"
        unreachable = next(one for title, one in found.items() if "and 37 more" in title)
        assert "Its renewal fails: the CA can't be reached: connection refused" in unreachable.text
        assert "next try in" in unreachable.text
        assert unreachable.one("a", class_="button")["href"] == "certificates?condition=failing&issuer=test"
        unknown = next(one for title, one in found.items() if title.startswith("Unknown expiry"))
        assert unknown.one("form")["action"] == "certificate-renew"
        assert [one["name"] for one in unknown.all("input")] == ["form_token", "owner", "issuer", "domain"]
        dns = next(one for one in found.values() if "NXDOMAIN" in one.text)
        assert "ns1.example (192.0.2.1): has no such record" in dns.text
        asked = next(one for title, one in found.items() if title == "Request failed new.shop.example")
        again = "certificate-request?owner=team01&issuer=test&domain=new.shop.example"
        assert asked.one("a", class_="button")["href"] == again


async def test_what_is_wrong_with_the_node_is_said_first_and_in_plain_words() -> None:
    async with in_disorder() as api:
        titles = list(wrong(await (await administrator(api)).get()))
        assert titles[0] == "The store can't be used"
        assert {
            "Issuer test can't be used",
            "The worker 'cleanup' fails on node-1",
            "There is no room at test",
            "config.yml can't be applied",
        } <= set(titles)
        api.world.cluster.leading = False
        page = await (await administrator(api)).get()
        assert next(iter(wrong(page))) == "No node leads"
        assert "nobody" in page.id("cluster").text


async def test_it_shows_what_is_under_way_and_the_room_at_cas() -> None:
    async with in_disorder() as api:
        page = await (await administrator(api)).get()
        happening = page.id("happening")
        assert len(happening.all("ol", class_="steps")) == 3
        assert happening.all("li", class_="now")[0].text == "validated (under way)"
        assert "Replace 60 certificates" in happening.text
        assert "0 of 300 new orders left, the next one in" in page.id("room").text


async def test_an_owner_sees_nothing_of_others() -> None:
    async with in_disorder() as api:
        alice = await owner(api, Scope.READ, username="team03")
        page, told = await alice.get(), await alice.json()
        for text in (page.body, told.body):
            assert "team03" in text
            assert not any(f"team{number:02}" in text for number in range(20) if number != 3)
        titles = set(wrong(page))
        assert "Issuer test can't be used" in titles
        assert not {"config.yml can't be applied", "The worker 'cleanup' fails on node-1"} & titles
        assert not page.has_form("certificate-renew")
        assert told.json["operations"] == []
        assert told.json["passes"] == []
        others = {one.domain for _, one in api.world.state.certificates.items() if one.owner != "team03"}
        assert not [domain for domain in others if domain in page.body or domain in told.body]


async def test_the_public_sees_all_and_has_no_buttons() -> None:
    async with in_disorder() as api:
        public(api.services.settings)
        page = await Browser(api).get()
        assert "things need you" in page.root.one("h1").text
        assert [one["action"] for one in page.root.all("form")] == []
        assert "config.yml" not in page.text


async def test_whoever_has_no_certificates_is_told_what_to_do_first() -> None:
    async with open_api() as api:
        admin = await (await administrator(api)).get()
        assert admin.id("first").one("a")["href"] == "certificate-request"
        reader = await (await owner(api, Scope.READ)).get()
        assert not reader.id("first").all("a")
        assert "Ask an administrator" in reader.id("first").text


async def test_the_page_stays_light_in_the_worst_case_and_says_the_same_to_programs() -> None:
    async with in_disorder(1000) as api:
        admin = await administrator(api)
        page, told = await admin.get(), (await admin.json()).json
        assert len(page.body) < HEAVIEST
        assert told["in_order"] is False
        assert told["total"] == 1000
        assert told["cluster"] == {
            "leader": "alone",
            "term": 0,
            "since": None,
            "members": [{"name": "alone", "state": "ACTIVE"}],
            "votes": 1,
            "present": 1,
            "needed": 1,
        }
        assert told["wrong"][0]["condition"]["code"] == "expired"
        assert len(told["upcoming"]) == 12
