"""The page of the audit log: who sees which entries, how they are searched, and the check of the chain."""

from __future__ import annotations

from typing import Any

from acme_manager.domain.token import Scope
from tests.unit.api.test_audit import audited
from tests.unit.api.world import Api, open_api
from tests.unit.web.browser import Browser, Page, administrator, owner
from tests.unit.web.test_login import configure


async def act(api: Api, username: str, domain: str) -> Any:
    body = {"domain": domain, "issuer": "test"}
    return await api.client.post("/api/v1/certificate", json=body, headers=api.token(username=username))


def rows(page: Page) -> list[str]:
    found = page.id("entries").all("tbody")
    return [row.text for body in found for row in body.all("tr")]


async def test_administrators_see_who_did_what_the_newest_first_and_search_it() -> None:
    async with open_api() as api, audited(api):
        await act(api, "alice", "a.example")
        await act(api, "bob", "b.example")
        admin = await administrator(api)
        page = await admin.get("audit")
        login, second, first = rows(page)
        assert "login" in login
        assert "b.example" in second
        assert "a.example" in first
        assert "Done" in first
        assert "owner alice" in first
        form = page.form("audit")
        assert len(rows(await admin.submit(form, q="b.example"))) == 1
        assert len(rows(await admin.submit(form, action="certificate"))) == 2
        assert "No entry fits" in (await admin.submit(form, q="nothing like it")).text
        kept = (await admin.submit(form, q="b.example", action="certificate", to="2026-11-24")).form("audit").values
        assert kept == {"q": "b.example", "action": "certificate", "from": "", "to": "2026-11-24"}


async def test_days_are_meant_in_whole() -> None:
    async with open_api() as api, audited(api):
        await act(api, "alice", "a.example")
        admin = await administrator(api)
        for days, number in (
            ("from=2026-11-24&to=2026-11-24", 2),
            ("from=2026-11-24", 2),
            ("to=2026-11-23", 0),
            ("from=2026-11-25", 0),
        ):
            assert len(rows(await admin.get(f"audit?{days}"))) == number, days


async def test_owners_see_what_concerns_them_and_the_public_nothing() -> None:
    async with open_api() as api, audited(api):
        await act(api, "alice", "a.example")
        await act(api, "bob", "b.example")
        bob = await owner(api, Scope.READ, username="bob")
        page, record = await bob.get("audit"), (await bob.json("audit")).json
        assert "b.example" in page.text
        for answer in (page, await bob.get("audit?q=a.example"), await bob.json("audit?object=alice")):
            assert "alice" not in answer.body
        assert {one["owner"] for one in record["entries"]} == {"bob"}
        assert not page.root.all("a", href="audit-verify")
        assert (await bob.get("audit-verify")).status == 403
        configure(api, public_read=True)
        assert (await Browser(api).get("audit")).status == 403
        assert (await Browser(api).json("audit")).status == 403


async def test_older_entries_are_a_link_away() -> None:
    async with open_api() as api, audited(api):
        for number in range(60):
            await api.client.get(f"/api/v1/token/{number}", headers={"X-API-Key": "admin"})
            await act(api, f"owner{number}", f"{number}.example")
        admin = await administrator(api)
        seen = rows(page := await admin.get("audit?action=certificate"))
        assert len(seen) == 50
        older = page.id("entries").one("a", rel="next")["href"]
        assert "action=certificate" in older
        rest = await admin.get(older)
        assert not set(seen) & set(rows(rest))
        assert len(seen) + len(rows(rest)) == 60
        assert rest.root.one("body")["data-topics"] == ""  # what is old stays as it is


async def test_what_cannot_be_searched_for_is_told_and_stays_typed() -> None:
    async with open_api() as api, audited(api):
        admin = await administrator(api)
        page = await admin.get("audit?q=x&cursor=nonsense")
        assert page.said
        assert page.form("audit").values["q"] == "x"
        assert (await admin.json("audit?cursor=nonsense")).status == 400


async def test_the_chain_can_be_checked() -> None:
    async with open_api() as api, audited(api):
        await act(api, "alice", "a.example")
        admin = await administrator(api)
        page = await admin.get((await admin.get("audit")).root.one("a", href="audit-verify")["href"])
        assert "All is as it was written" in page.said
        assert (await admin.get("audit-verify?begin=" + "9" * 5000)).status == 200
