"""Changing, renewing, revoking and deleting on pages."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio.testing

from acme_manager.api.forward import Waits
from acme_manager.domain.certificate import CertificateId, StoredCertificate
from acme_manager.domain.report import Installed, Report, Served
from acme_manager.domain.revocation import Reason
from acme_manager.domain.token import Scope
from acme_manager.errors import IssuerUnavailable
from tests.unit.api.served import Follower
from tests.unit.api.world import Api, open_api
from tests.unit.services.test_certificates import csr_for
from tests.unit.services.world import ALICE, wish
from tests.unit.web.browser import Browser, Form, administrator, owner

EXAMPLE = CertificateId("alice", "test", "example.com")
NAMED = {"owner": "alice", "issuer": "test", "domain": "example.com"}
OF_EXAMPLE = "owner=alice&issuer=test&domain=example.com"
PAGES = {"certificate-update": Scope.UPDATE, "certificate-revoke": Scope.DELETE, "certificate-delete": Scope.DELETE}
POSTS = {**PAGES, "certificate-renew": Scope.UPDATE, "certificate-update-check": Scope.UPDATE}


@asynccontextmanager
async def with_one(**facts: object) -> AsyncIterator[tuple[Api, StoredCertificate]]:
    """A node that has a certificate of alice's."""
    cluster = Follower()
    cluster.leading = True
    async with open_api(cluster=cluster, waits=Waits(leader=0.05, pause=0.01)) as api:
        yield api, await api.services.certificates.request(ALICE, wish(**facts))


async def settle(api: Api) -> None:
    await trio.testing.wait_all_tasks_blocked()
    assert api.world.jobs.running() == []


async def form_on(browser: Browser, page: str, query: str = OF_EXAMPLE) -> Form:
    return (await browser.get(f"{page}?{query}")).form(page)


async def test_a_change_of_labels_orders_nothing_and_a_change_of_names_does() -> None:
    async with with_one(san="www.example.com", labels="env=test") as (api, first):
        alice = await owner(api)
        form = await form_on(alice, "certificate-update")
        assert (form.values["san"], form.values["labels"]) == ("www.example.com", "env=test")
        page = await alice.post("certificate-update-check", form.with_({"labels": "env=prod"}))
        assert "No new certificate is needed" in page.said
        assert (await alice.submit(form, labels="env=prod")).goes_to == f"certificate?{OF_EXAMPLE}&said=changed"
        assert api.services.certificates.find(EXAMPLE).labels == "env=prod"
        assert len(api.world.ca.placed) == 1

        changed = form.with_({"san": "shop.example.com", "profile": "other", "revoke": "on", "reason": "keyCompromise"})
        page = await alice.post("certificate-update-check", changed)
        assert "A new certificate is needed. Because of: profile, names." in page.said
        assert page.form("certificate-update").values["reason"] == "keyCompromise"
        assert (await alice.post("certificate-update", changed)).goes_to.endswith("said=changing")
        await settle(api)
        assert api.services.certificates.find(EXAMPLE).san == "shop.example.com"
        assert api.world.ca.revoked == [(first.cert, Reason.keyCompromise)]


async def test_a_csr_stays_as_it_is_until_another_one_is_pasted_or_the_server_is_to_make_the_key() -> None:
    csr = csr_for("example.com")
    async with with_one(csr=csr, key_type="EC384") as (api, _):
        alice = await owner(api)
        form = await form_on(alice, "certificate-update")
        assert form.values["key"] == "kept"
        assert "No new certificate" in (await alice.post("certificate-update-check", form.values)).said
        other = base64.b64decode(csr_for("example.com")).decode()
        for change in ({"key": "csr", "csr": other}, {"key": "server", "csr": other}):
            page = await alice.post("certificate-update-check", form.with_(change))
            assert "Because of: key" in page.said
        page = await alice.submit(form, key="csr", csr="nonsense", san="www.example.com")
        assert (page.status, list(page.wrong())) == (400, ["csr"])
        assert page.form("certificate-update").values["csr"] == "nonsense"


async def test_what_has_a_name_may_change_issuer_and_domain_and_the_rest_keeps_them() -> None:
    async with with_one(name="shop") as (api, _):
        alice = await owner(api)
        form = await form_on(alice, "certificate-update", "owner=alice&name=shop")
        page = await alice.submit(form, domain="other.example", labels="a=b")
        assert page.goes_to == "certificate?owner=alice&name=shop&said=changing"
        await settle(api)
        assert api.services.certificates.find(CertificateId("alice", name="shop")).domain == "other.example"
    async with with_one() as (api, _):
        admin = await administrator(api)
        form = await form_on(admin, "certificate-update")
        missing = await admin.submit(form, domain="other.example")
        assert missing.status == 404  # identity, which no page of ours lets one change
        assert (await admin.submit(form, days="30")).goes_to == f"certificate?{OF_EXAMPLE}&said=changing"


async def test_one_click_renews_for_the_owner_and_for_an_administrator() -> None:
    async with with_one() as (api, first):
        for browser in (await owner(api), await administrator(api)):
            token = await token_of(browser)
            page = await browser.post("certificate-renew", {**NAMED, "form_token": token})
            assert page.goes_to == f"certificate?{OF_EXAMPLE}&said=renewing"
            await settle(api)
        found = await api.services.certificates.get(EXAMPLE)
        assert found.certificate.renewal_count == 2
        assert found.cert != first.cert
        assert "administrator" in api.services.certificates.attempts(EXAMPLE)[0]["reason"]


async def test_revoking_wants_a_reason_and_the_name_and_says_who_serves_it() -> None:
    async with with_one() as (api, first):
        served = Installed(
            issuer="test",
            domain="example.com",
            fingerprint=first.certificate.fingerprint,
            check="www:443",
            served=Served(ok=True),
        )
        api.services.reports.take("alice", Report(host="web1", certificates=(served,)))
        old = attrs.evolve(served, fingerprint="AA", served=None)
        api.services.reports.take("alice", Report(host="web2", certificates=(old,)))
        alice = await owner(api)
        page = await alice.get(f"certificate-revoke?{OF_EXAMPLE}")
        assert "web1 serves it now" in page.id("hosts").text
        assert "web2 has an older one" in page.id("hosts").text
        form = page.form("certificate-revoke")
        wrong = await alice.submit(form, confirm="example.com")
        assert (wrong.status, wrong.wrong()) == (400, {"reason": "choose a reason"})
        wrong = await alice.submit(form, reason="keyCompromise", confirm="example.org")
        assert (wrong.status, list(wrong.wrong())) == (400, ["confirm"])
        assert wrong.form("certificate-revoke").values["reason"] == "keyCompromise"
        assert api.world.ca.revoked == []
        done = await alice.submit(form, reason="keyCompromise", confirm="example.com")
        assert done.goes_to == "certificates?said=deleting"
        await settle(api)
        assert api.world.ca.revoked == [(first.cert, Reason.keyCompromise)]
        assert api.services.certificates.list(None) == []


async def test_deleting_wants_the_name_and_revokes_only_if_told_to() -> None:
    for change, revoked in (({}, []), ({"revoke": "on", "reason": "cessationOfOperation"}, [5])):
        async with with_one() as (api, _):
            admin = await administrator(api)
            form = await form_on(admin, "certificate-delete")
            assert list((await admin.submit(form, confirm="")).wrong()) == ["confirm"]
            done = await admin.submit(form, confirm="example.com", **change)
            assert done.goes_to == ("certificates?said=deleting" if revoked else "certificates?said=deleted")
            await settle(api)
            assert [reason for _, reason in api.world.ca.revoked] == revoked
            assert api.services.certificates.list(None) == []
            (version,) = await api.services.certificates.versions(EXAMPLE)
            assert (version.deleted, version.destroyed) == (True, False)


async def test_nobody_touches_what_is_anothers_or_without_scope_or_without_a_form_of_ours() -> None:
    async with with_one() as (api, first):
        alice, bob = await owner(api), await owner(api, username="bob")
        reader = await owner(api, Scope.READ, Scope.CREATE)
        for page in PAGES:
            assert (await bob.get(f"{page}?{OF_EXAMPLE}")).status == 404
            assert (await bob.json(f"{page}?{OF_EXAMPLE}")).status == 404
            assert (await reader.get(f"{page}?{OF_EXAMPLE}")).status == 403
            assert (await alice.get(f"{page}?owner=alice&name=none")).status == 404
        values = {**NAMED, "confirm": "example.com", "reason": "superseded", "days": "30"}
        for post in POSTS:
            assert (await bob.post(post, {**values, "form_token": await token_of(bob)})).status == 404
            assert (await reader.post(post, {**values, "form_token": await token_of(reader)})).status == 403
            assert (await alice.post(post, values)).status == 403
            assert (await Browser(api).post(post, values)).status == 401
        await settle(api)
        assert await api.services.certificates.get(EXAMPLE) == first
        assert (len(api.world.ca.placed), api.world.ca.revoked) == (1, [])


async def test_without_a_leader_each_form_is_there_again_as_it_was_typed() -> None:
    async with with_one() as (api, _):
        admin, cluster = await administrator(api), api.world.cluster
        forms = {page: await form_on(admin, page) for page in PAGES}
        assert isinstance(cluster, Follower)
        cluster.leading = False
        for page, form in forms.items():
            typed = {"labels": "a=b"} if page == "certificate-update" else {"confirm": "example.com"}
            answer = await admin.submit(form, **typed, reason="superseded")
            assert answer.status == 503
            assert "no node leads yet" in answer.said
            assert typed.items() <= answer.form(page).values.items()
        token = await token_of(admin)
        assert (await admin.post("certificate-renew", {**NAMED, "form_token": token})).status == 503


async def test_a_revocation_that_the_ca_does_not_take_leaves_the_certificate() -> None:
    async def before(step: str) -> None:
        if step == "revoke":
            raise IssuerUnavailable("the CA does not answer")

    async with open_api(before=before) as api:
        await api.services.certificates.request(ALICE, wish())
        alice = await owner(api)
        form = await form_on(alice, "certificate-revoke")
        assert (await alice.submit(form, reason="superseded", confirm="example.com")).status == 303
        await settle(api)
        assert api.services.certificates.find(EXAMPLE).domain == "example.com"
        assert "does not answer" in str(api.services.certificates.attempts(EXAMPLE)[0])


async def token_of(browser: Browser) -> str:
    found = (await browser.get("certificates")).form("logout").values["form_token"]
    assert isinstance(found, str)
    return found
