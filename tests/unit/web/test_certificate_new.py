"""Asking for a certificate on a page: the look ahead, the order, and every way in which it is refused."""

from __future__ import annotations

import base64

import attrs
import trio.testing

from acme_manager.api.forward import Waits
from acme_manager.config.model import Common
from acme_manager.domain.audit import Query
from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.names import parse_identifier
from acme_manager.domain.token import Scope
from acme_manager.errors import IssuerRateLimited, StorageUnavailable
from acme_manager.ports import IssuerFacts
from tests.fakes.ca import MemoryCa
from tests.fakes.dns import MemoryLookup, memory_dns
from tests.unit.api.served import Follower
from tests.unit.api.test_audit import open_audited
from tests.unit.api.world import Api, open_api
from tests.unit.services.test_certificates import csr_for
from tests.unit.services.world import ALICE, preflight, wish
from tests.unit.web.browser import Browser, Page, administrator, owner

EXAMPLE_NAMES = (parse_identifier("example.com"),)
EXAMPLE = CertificateId("alice", "test", "example.com")
LIMITED = Common(rate_limit_enabled=True, rate_limit_window=3600, rate_limit_max_requests=1)
FORM = "certificate-request"


async def send(browser: Browser, **changed: str | tuple[str, ...]) -> Page:
    page = await browser.get("certificate-request")
    return await browser.submit(page.form(FORM), **{"domain": "example.com", "issuer": "test", **changed})


async def settle(api: Api) -> None:
    await trio.testing.wait_all_tasks_blocked()
    assert api.world.jobs.running() == []


async def test_an_owner_orders_a_certificate_with_everything_that_the_form_has() -> None:
    async with open_audited() as api:
        alice = await owner(api)
        page = await send(
            alice,
            san="www.example.com\nshop.example.com, a.example.com",
            name="shop",
            key_type="EC384",
            days="30",
            renewal_days="5-10",
            labels="env=prod,team=web",
            challenge="dns:auto",
            bundle="on",
        )
        assert page.goes_to == "certificate?owner=alice&name=shop&said=requested"
        await settle(api)
        found = api.services.certificates.find(CertificateId("alice", name="shop"))
        assert found.san == "www.example.com,shop.example.com,a.example.com"
        assert (found.days, found.renewal_days, found.labels) == (30, "5-10", "env=prod,team=web")
        assert (found.key_type, found.dns_challenge, found.bundle) == ("EC384", "auto", True)
        noted = (await api.services.audit.search(Query(action="certificate"), limit=10)).entries
        assert [(one.action, one.object, one.owner) for one in noted] == [
            ("certificate.request", "alice/shop", "alice")
        ]


async def test_a_csr_is_pasted_as_it_is_and_other_fields_of_keys_do_not_count() -> None:
    async with open_api() as api:
        alice, pem = await owner(api), base64.b64decode(csr_for("example.com")).decode()
        missing = await send(alice, key="csr")
        assert (missing.status, missing.wrong()) == (400, {"csr": "paste the CSR here, or let the server make the key"})
        assert (await send(alice, key="csr", csr=pem, key_type="RSA4096")).status == 303
        await settle(api)
        found = await api.services.certificates.get(EXAMPLE)
        assert base64.b64decode(found.certificate.csr).decode() == pem
        assert (found.certificate.key_type, found.private_key) == ("", "")


async def test_an_administrator_orders_for_a_known_owner_or_a_new_one_and_not_for_what_can_be_none() -> None:
    async with open_api() as api:
        api.token(username="bob")
        admin = await administrator(api)
        page = await admin.get("certificate-request?domain=example.com&issuer=test")
        assert [one["value"] for one in page.id("owners").all("option")] == ["bob"]
        for wrong in ("", "../bob", "a/b"):
            refused = await send(admin, owner=wrong)
            assert (refused.status, list(refused.wrong())) == (400, ["owner"])
        assert (await send(admin, owner="carol")).goes_to.startswith("certificate?owner=carol")
        await settle(api)
        assert api.services.certificates.find(attrs.evolve(EXAMPLE, owner="carol")).owner == "carol"


async def test_whatever_is_wrong_is_shown_at_its_field_and_everything_typed_is_kept() -> None:
    async with open_api() as api:
        alice = await owner(api)
        typed = {"san": "bad!name.test", "days": "soon", "labels": "a-b=c", "profile": "shortlived", "bundle": "on"}
        page = await send(alice, **typed)
        assert (page.status, list(page.wrong())) == (400, ["days"])
        page = await send(alice, **{**typed, "days": "-1"})
        assert list(page.wrong()) == ["san", "days", "labels"]
        assert {name: page.form(FORM).values[name] for name in typed} == {**typed, "days": "-1"}
        assert [one["name"] for one in page.root.all(autofocus="")] == ["san"]
        assert "open" in page.id("advanced").attributes
        page = await send(alice, domain="*.example.com", challenge="http:kvring")
        assert page.wrong() == {"challenge": "a wildcard needs dns-01; use dns_challenge"}
        page = await send(alice, issuer="")
        assert list(page.wrong()) == ["issuer"]
        assert api.world.ca.placed == []


async def test_names_and_issuers_outside_of_a_tokens_lists_are_refused_at_their_fields() -> None:
    async with open_api() as api:
        alice = await owner(api, domains=("*.example.com",), issuers=("test",))
        page = await alice.get("certificate-request")
        assert "bare" not in page.id("in-issuer").text
        page = await send(alice)
        assert (page.status, list(page.wrong())) == (403, ["domain"])
        page = await send(alice, issuer="bare", domain="www.example.com", challenge="http:kvring")
        assert (page.status, list(page.wrong())) == (403, ["issuer"])


async def test_one_that_is_there_is_linked_and_a_limit_says_when_there_is_room_again() -> None:
    async with open_api(common=LIMITED) as api:
        alice = await owner(api)
        await send(alice)
        await settle(api)
        page = await send(alice)
        assert page.status == 409
        assert page.root.all("a", href="certificate?owner=alice&issuer=test&domain=example.com")
        assert page.form(FORM).values["domain"] == "example.com"
        await api.services.certificates.delete(EXAMPLE, revoke=False)
        page = await send(alice)
        assert page.status == 429
        assert "room again in 60 minutes" in page.said
        assert page.headers["Retry-After"] == "3600"
        assert page.form(FORM).values["domain"] == "example.com"


async def test_without_a_leader_the_form_is_there_again_as_it_was_typed() -> None:
    cluster, typed = Follower(), {"owner": "bob", "san": "www.example.com"}
    cluster.leading = True
    async with open_api(cluster=cluster, waits=Waits(leader=0.05, pause=0.01)) as api:
        admin = await administrator(api)
        cluster.leading = False
        page = await send(admin, **typed)
        assert page.status == 503
        assert "no node leads yet" in page.said
        assert page.headers["Retry-After"] == "1"
        assert {name: page.form(FORM).values[name] for name in typed} == typed


async def test_nobody_orders_without_the_scope_in_anothers_name_or_without_a_form_of_ours() -> None:
    async with open_api() as api:
        reader, alice = await owner(api, Scope.READ, Scope.UPDATE), await owner(api)
        assert (await reader.get(FORM)).status == 403
        values = {**(await alice.get(FORM)).form(FORM).values, "domain": "example.com", "issuer": "test"}
        for address in (FORM, "certificate-check"):
            assert (await reader.post(address, {**values, "form_token": await token_of(reader)})).status == 403
            assert (await alice.post(address, {**values, "owner": "bob"})).status == 404
            assert (await alice.post(address, {**values, "form_token": ""})).status == 403
            assert (await Browser(api).post(address, values)).status == 401
        assert api.world.ca.placed == []


async def token_of(browser: Browser) -> str:
    found = (await browser.get()).form("logout").values["form_token"]
    assert isinstance(found, str)
    return found


async def test_the_look_ahead_says_what_stands_in_the_way_first_and_names_the_record_to_create() -> None:
    async with open_api() as api:
        api.world.ca.said = IssuerFacts(caa_identities=("ca.test",), account="https://ca.test/account/1")
        dns = memory_dns(MemoryLookup({"example.com CAA": ['0 issue "other.test"'], "example.com A": ["192.0.2.1"]}))
        object.__setattr__(api.services, "preflight", preflight(api.world, dns))
        alice = await owner(api)
        form = (await alice.get(FORM)).form(FORM)
        page = await alice.post("certificate-check", form.with_({"domain": "example.com", "issuer": "test"}))
        assert page.status == 200
        assert page.form(FORM).values["domain"] == "example.com"
        first = page.id("ahead").one(class_="findings").all("li")[0]
        assert first.text.startswith("no CAA example.com: CAA 0 issue")
        assert first.all("button", data_copy='example.com. CAA 0 issue "ca.test"')
        assert "to put right first" in page.id("ahead").text

        page = await alice.post(
            "certificate-check", form.with_({"domain": "example.com", "issuer": "test", "days": "x"})
        )
        assert "'days' must be a whole number" in page.id("ahead").text
        assert "Name a domain and an issuer" in (await alice.post("certificate-check", form.values)).id("ahead").text

        await api.services.certificates.request(ALICE, wish())
        page = await alice.post("certificate-check", form.with_({"domain": "example.com", "issuer": "test"}))
        assert "is there already" in page.said


async def test_the_choices_say_how_each_issuer_is_and_are_the_same_for_a_program() -> None:
    async with open_api(fallback={"other": MemoryCa()}) as api:
        api.world.ca.said = IssuerFacts(profiles={"shortlived": "six days"})
        api.world.findings.note("test", None)
        api.world.findings.note("bare", StorageUnavailable("the account can't be read"))
        error = IssuerRateLimited("slow down", retry_after=3600)
        api.services.budgets.refused("other", EXAMPLE_NAMES, error)
        alice = await owner(api)
        page = await alice.get(FORM)
        assert "test · in order" in page.id("in-issuer").text
        assert "other · takes no orders until 24 Nov 13:00 UTC" in page.id("in-issuer").text
        assert "bare · out of order" in page.id("in-issuer").text
        assert "the account can't be read" in page.id("from-whom").text
        assert [one["value"] for one in page.id("profiles").all("option")] == ["shortlived"]
        told = (await alice.json(FORM)).json
        assert [one["name"] for one in told["issuers"]] == ["bare", "other", "test"]
        assert told["issuers"][2]["profiles"] == {"shortlived": "six days"}
        assert told["owners"] == []


async def test_what_was_typed_while_the_session_ended_is_in_the_form_after_the_next_log_in() -> None:
    async with open_api() as api:
        alice, typed = await owner(api), {"san": "shop.example.com\na.example.com", "labels": "env=prod"}
        page = await alice.get(FORM)
        stale = {"domain": "example.com", "issuer": "test", "form_token": page.form(FORM).values["form_token"], **typed}
        await alice.submit(page.form("logout"))
        over = await alice.post(FORM, stale)
        assert (over.status, over.root.one("h1").text) == (401, "You are not logged in")
        login = await alice.get(over.root.one("a", class_="primary")["href"])
        assert str(stale["form_token"]) not in login.body
        page = await alice.follow(await alice.submit(login.form("login"), secret=api.token()["Authorization"]))
        assert {name: page.form(FORM).values[name] for name in typed} == typed
        outdated = await alice.post(FORM, stale)
        assert outdated.status == 403
        page = await alice.get(outdated.root.one("a", class_="primary")["href"])
        assert {name: page.form(FORM).values[name] for name in typed} == typed
        assert api.world.ca.placed == []
