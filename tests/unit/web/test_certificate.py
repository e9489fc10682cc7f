"""The page about one certificate: what it says, to whom, and what it is while there is no certificate yet."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import attrs

from acme_manager.config.model import UiConfig
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import rfc3339
from acme_manager.domain.renewal_state import RenewalState, Suggestion
from acme_manager.domain.report import Installed, Report, Served
from acme_manager.domain.token import Scope
from acme_manager.errors import StorageUnavailable
from tests.unit.api.world import Api, open_api
from tests.unit.services.cataloguing import certificate
from tests.unit.services.world import ALICE, NOW, wish
from tests.unit.web.browser import Browser, Page, administrator, owner

KEPT = certificate("www.example", issuer="test", name="web", san="*.xn--mller-kva.example", labels="env=prod")
RECORD = {
    "name": "_acme-challenge.www.example",
    "value": "the-value",
    "provider": "route53",
    "servers": [{"server": "ns2.example (192.0.2.54)", "complete": False, "words": "says that there is none"}],
}


def attempt(outcome: str, *steps: str, ago: float = 5, **facts: Any) -> dict[str, Any]:
    began = NOW - timedelta(minutes=ago)
    noted = [{"step": step, "at": rfc3339(began)} for step in steps]
    return {"began": rfc3339(began), "outcome": outcome, "reason": "requested", "steps": noted, "records": [], **facts}


def note(api: Api, key: str, *attempts: dict[str, Any]) -> None:
    api.world.cluster.put(f"attempt/{key}", json.dumps(attempts).encode())


def steps(page: Page) -> list[tuple[str, str]]:
    """Those of the newest attempt in the list, with their states."""
    shown = page.id("attempts").all("ol", class_="steps")[0]
    return [(one.text.split(" (")[0], one.attributes.get("class", "")) for one in shown.all("li")]


async def test_it_says_how_it_is_doing_when_it_is_renewed_and_why() -> None:
    async with open_api() as api:
        api.world.state.publish(KEPT)
        ari = Suggestion(start=NOW + timedelta(days=2), end=NOW + timedelta(days=3), explanation="https://ca.test/why")
        api.world.state.renewals.put(KEPT.id.key, RenewalState(leaf=KEPT.fingerprint, ari=ari))
        page = await (await administrator(api)).get("certificate?owner=alice&name=web")
        assert page.root.one("h1").text.startswith("web")
        life = page.id("life")
        assert "CA asks for renewal between" in life.text
        assert life.one("a", href="https://ca.test/why")["rel"] == "noopener noreferrer"
        assert "Renewal is planned for" in life.one("svg")["aria-label"]
        assert "*.müller.example" in page.id("names").text
        assert page.root.all("a", href="certificates?label=env%3Dprod")


async def test_an_explanation_that_is_no_web_address_is_no_link() -> None:
    async with open_api() as api:
        api.world.state.publish(KEPT)
        ari = Suggestion(start=NOW + timedelta(days=2), end=NOW + timedelta(days=3), explanation="javascript:alert(1)")
        api.world.state.renewals.put(KEPT.id.key, RenewalState(leaf=KEPT.fingerprint, ari=ari))
        page = await (await administrator(api)).get("certificate?owner=alice&name=web")
        assert "javascript:alert(1)" in page.id("life").text
        assert not [one for one in page.root.all("a") if one["href"].startswith("javascript")]


async def test_attempts_show_each_step_each_record_and_what_the_ca_said() -> None:
    async with open_api() as api:
        api.world.state.publish(KEPT)
        failed = attempt("failed", "ordered", error="it was not seen", problem="dns: NXDOMAIN", records=[RECORD])
        done = attempt("issued", "ordered", "finalized", "issued", "stored", ago=9000)
        note(api, KEPT.id.key, failed, done)
        page = await (await administrator(api)).get("certificate?owner=alice&name=web")
        text = page.id("attempts").text
        assert steps(page)[:3] == [("ordered", "done"), ("challenge shown", "failed"), ("validated", "")]
        for words in (
            "it was not seen",
            "dns: NXDOMAIN",
            "the-value",
            "ns2.example (192.0.2.54) says that there is none",
        ):
            assert words in text
        assert "The last request failed: it was not seen" in page.said


async def test_an_order_under_way_is_shown_with_its_steps_and_no_second_one_is_offered() -> None:
    async with open_api() as api:
        api.world.state.publish(KEPT)
        note(api, KEPT.id.key, attempt("running", "ordered", "challenge presented"))
        page = await (await owner(api)).get("certificate?owner=alice&name=web")
        assert steps(page)[2] == ("validated", "now")
        assert not page.has_form("certificate-renew")
        assert 'http-equiv="refresh"' in page.body


async def test_what_is_only_being_requested_has_a_page_which_becomes_that_of_the_certificate() -> None:
    address = "certificate?owner=alice&issuer=test&domain=example.com"
    async with open_api() as api:
        alice, key = await owner(api), "alice/test/example.com"
        note(api, key, attempt("running", "ordered"))
        page = await alice.get(address)
        assert "it is being requested" in page.text
        assert page.id("whole").attributes["data-live"]
        note(api, key, attempt("failed", "ordered", error="no such zone"))
        page = await alice.get(address)
        assert "no such zone" in page.said
        assert page.root.all(
            "a", class_="button", href="certificate-request?owner=alice&issuer=test&domain=example.com"
        )
        assert (await alice.json(address)).json["attempts"][0]["error"] == "no such zone"
        await api.world.certificates.request(ALICE, wish())
        page = await alice.get(address)
        assert page.id("whole").all(id="chain")
        assert (await (await owner(api, username="bob")).get(address)).status == 404


async def test_a_request_that_failed_can_be_dismissed_and_nothing_else_can() -> None:
    fields = {"owner": "alice", "issuer": "test", "domain": "example.com"}
    async with open_api() as api:
        alice, key = await owner(api), "alice/test/example.com"
        form = (await alice.get()).form("logout")
        token = {"form_token": form.values["form_token"]}
        assert (await alice.post("certificate-dismiss", fields | token)).status == 404
        note(api, key, attempt("failed", "ordered", error="no such zone"))
        home = await alice.get()
        assert "1 thing needs you" in home.text
        page = await alice.follow(await alice.submit(home.form("certificate-dismiss")))
        assert "dismissed" in page.said
        assert "thing needs you" not in page.text
        assert api.world.certificates.list(None) == []
        await api.world.certificates.request(ALICE, wish())
        assert (await alice.post("certificate-dismiss", fields | token)).status == 409


async def test_chain_and_versions_are_shown_and_while_storage_is_away_the_rest_is() -> None:
    async with open_api() as api:
        stored = await api.world.certificates.request(ALICE, wish())
        admin, address = await administrator(api), "certificate?owner=alice&issuer=test&domain=example.com"
        page = await admin.get(address)
        assert stored.certificate.serial in page.id("versions").text
        assert len(page.id("chain").one("ol").all("details")) >= 1
        found = (await admin.json(address)).json
        assert found["versions"][0]["serial"] == stored.certificate.serial
        assert found["chain"][0]["fingerprint"]
        assert "PRIVATE KEY" not in json.dumps(found)
        assert "BEGIN" not in page.body
        api.world.storage.down = StorageUnavailable("sealed")
        page = await admin.get(address)
        assert page.status == 200
        assert "can't be read. sealed" in page.said
        assert not page.root.all(id="chain")
        assert stored.certificate.serial in page.id("facts").text


async def test_hosts_say_what_they_have_and_callers_what_they_fetched() -> None:
    async with open_api() as api:
        api.world.state.publish(KEPT)
        served = Served(ok=False, why="shows another one")
        old = Installed(name="web", fingerprint="another", check="web-1:443", served=served)
        api.services.reports.take("alice", Report(host="web-1", version="9.9", certificates=(old,)))
        api.services.fetches.note(KEPT.id, by="token t1", address="192.0.2.9", user_agent="curl/8 x")
        await api.services.fetches.look()
        text = (await (await administrator(api)).get("certificate?owner=alice&name=web")).id("hosts").text
        for words in ("web-1", "Another one", "shows another one", "agent 9.9", "token t1", "192.0.2.9", "curl/8"):
            assert words in text


async def test_buttons_are_those_that_somebody_may_use() -> None:
    async with open_api() as api:
        api.world.state.publish(KEPT)
        address = "certificate?owner=alice&name=web"
        for browser, offered in (
            (await administrator(api), {"update", "revoke", "delete", "file"}),
            (await owner(api), {"update", "revoke", "delete", "file", "pkcs12"}),
            (await owner(api, Scope.READ), {"file", "pkcs12"}),
            (await owner(api, Scope.UPDATE), {"update"}),
        ):
            page = await browser.get(address)
            links = {one["href"].partition("?")[0].removeprefix("certificate-") for one in page.id("whole").all("a")}
            assert links & {"update", "revoke", "delete", "file", "pkcs12"} == offered
            assert page.has_form("certificate-renew") == ("update" in offered)
            assert page.has_form("certificate-key") == ("pkcs12" in offered)


async def test_another_owners_certificate_is_not_there() -> None:
    async with open_api() as api:
        api.world.state.publish(KEPT)
        bob = await owner(api, username="bob")
        for address in ("certificate?owner=alice&name=web", "certificate?owner=alice&name=nothing"):
            for answer in (await bob.get(address), await bob.json(address)):
                assert answer.status == 404
                assert "www.example" not in answer.body
        for address in ("certificate", "certificate?owner=bob", "certificate?owner=bob&issuer=test"):
            assert (await bob.get(address)).status == 400


async def test_everybody_sees_it_where_that_is_wanted_and_can_do_nothing() -> None:
    async with open_api() as api:
        api.world.state.publish(KEPT)
        settings = api.services.settings
        settings.go_by(attrs.evolve(settings.config, ui=UiConfig(public_read=True)))
        page = await Browser(api).get("certificate?owner=alice&name=web")
        assert "www.example" in page.text
        assert not page.id("whole").all("form")
        assert not page.root.all("details", id="download-menu")


async def test_a_record_that_another_program_wrote_is_shown_too() -> None:
    async with open_api() as api:
        odd = Certificate(domain="odd", issuer="gone", owner="alice", expires="soon", labels="=,", san=",,")
        api.world.state.publish(odd)
        note(api, odd.id.key, {"began": "?", "outcome": "new", "steps": [{}], "records": [{"name": "a", "value": "b"}]})
        page = await (await administrator(api)).get("certificate?owner=alice&issuer=gone&domain=odd")
        assert page.status == 200
        assert "Not planned" in page.text
