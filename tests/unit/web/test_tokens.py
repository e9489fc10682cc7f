"""The pages about tokens: made, replaced and revoked by administrators; a secret is shown once, a hash never."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from acme_manager.domain.gotime import format_time
from acme_manager.domain.token import NEVER, Scope, Token, hash_secret
from tests.unit.api.world import Api, open_api
from tests.unit.services.world import NOW
from tests.unit.web.browser import Browser, Page, administrator, owner
from tests.unit.web.test_login import configure

WRONG: Mapping[str, Any] = {
    "username": "team/a",
    "scope": ("create", "read"),
    "duration": "soon",
    "rate_limit_window": "an hour",
    "rate_limit_max_requests": "many",
    "domains": "*.a.example b.example",
    "issuers": "te*",
}


def secret_of(page: Page) -> str:
    """The one thing to copy on a page."""
    (button,) = [one for one in page.root.all("button") if "data-copy" in one.attributes]
    return button["data-copy"]


async def status_of(api: Api, bearer: str) -> int:
    answer = await api.client.get("/api/v1/certificate/metadata", headers={"Authorization": f"Bearer {bearer}"})
    return int(answer.status_code)


def put(api: Api, id: str, expires: str = NEVER) -> Token:
    """A token of an owner of the same name."""
    token = Token(id=id, token_hash=hash_secret(id), username=id, scope=(Scope.READ,), expires=expires)
    api.world.state.tokens.put(id, token)
    return token


async def test_a_new_token_works_and_is_shown_once() -> None:
    async with open_api() as api:
        admin = await administrator(api)
        form = (await admin.get("token-create")).form("token-create")
        assert form.values["scope"] == "read"
        page = await admin.submit(form, username="web", scope=("read", "create"), domains="*.a.example, b.example")
        assert page.status == 200
        assert "shown this once" in page.said
        bearer = secret_of(page)
        assert await status_of(api, bearer) == 200
        (token,) = [one for _, one in api.world.state.tokens.items()]
        assert (token.username, token.scope) == ("web", (Scope.READ, Scope.CREATE))
        assert token.domains == ("*.a.example", "b.example")
        listed, record = await admin.get("tokens"), await admin.json("tokens")
        assert "b.example" in listed.id("token-list").text
        for answer in (listed, record):
            assert bearer not in answer.body
            assert token.token_hash not in answer.body
        assert record.json[token.id]["username"] == "web"
        assert "tokenHash" not in record.json[token.id]


@pytest.mark.parametrize("page", ["token-create", "token-replace?id=web"])
async def test_what_is_wrong_is_told_at_its_field_and_all_that_was_typed_stays(page: str) -> None:
    async with open_api() as api:
        before = put(api, "web")
        admin = await administrator(api)
        form = (await admin.get(page)).form(page.partition("?")[0])
        answer = await admin.submit(form, **WRONG)
        assert answer.status == 400
        assert set(answer.wrong()) >= {"duration", "rate_limit_window", "rate_limit_max_requests"}
        again = answer.form(form.action).values
        assert {name: again[name] for name in WRONG} == WRONG
        assert [one for _, one in api.world.state.tokens.items()] == [before]
        nobody = await admin.submit(form, username="")
        assert (nobody.status, list(nobody.wrong())) == (400, ["username"])


async def test_a_replaced_token_keeps_its_id_and_its_old_secret_opens_nothing() -> None:
    async with open_api() as api:
        admin = await administrator(api)
        form = (await admin.get("token-create")).form("token-create")
        old = secret_of(await admin.submit(form, username="web", issuers="te*", rate_limit_max_requests="7"))
        (id,) = [id for id, _ in api.world.state.tokens.items()]
        form = (await admin.get(f"token-replace?id={id}")).form("token-replace")
        assert (form.values["username"], form.values["issuers"]) == ("web", "te*")
        assert (form.values["duration"], form.values["rate_limit_max_requests"]) == ("90d", "7")
        new = secret_of(await admin.submit(form, duration="1y"))
        assert [await status_of(api, one) for one in (old, new)] == [401, 200]
        assert [one for one, _ in api.world.state.tokens.items()] == [id]
        for address in ("token-replace?id=gone", "token-revoke?id=gone"):
            assert (await admin.get(address)).status == 404


async def test_a_token_is_revoked_after_its_owner_was_typed() -> None:
    async with open_api() as api:
        admin = await administrator(api)
        bearer = secret_of(await admin.submit((await admin.get("token-create")).form("token-create"), username="web"))
        (id,) = [id for id, _ in api.world.state.tokens.items()]
        form = (await admin.get(f"token-revoke?id={id}")).form("token-revoke")
        refused = await admin.submit(form, typed="wbe")
        assert (refused.status, refused.wrong()) == (400, {"typed": "type 'web' to confirm"})
        assert refused.form("token-revoke").values["id"] == id
        assert await status_of(api, bearer) == 200
        page = await admin.submit(form, typed="web")
        assert page.goes_to == "tokens?said=token-revoked"
        assert "The token has been revoked" in (await admin.follow(page)).said
        assert await status_of(api, bearer) == 401
        assert (await admin.submit(form, typed="web")).status == 404


async def test_owners_have_no_say_and_the_public_a_look_only() -> None:
    async with open_api() as api:
        put(api, "web")
        alice = await owner(api, username="alice")
        form_token = (await alice.get()).form("logout").values["form_token"]
        for address in ("tokens", "token-create", "token-replace?id=web", "token-revoke?id=web"):
            assert (await alice.get(address)).status == 403
            assert (await alice.json(address)).status == 403
        for address in ("token-create", "token-replace", "token-revoke"):
            sent = {"form_token": form_token, "id": "web", "username": "web", "typed": "web"}
            assert (await alice.post(address, sent)).status == 403
        assert sorted(id for id, _ in api.world.state.tokens.items()) == ["t-alice-", "web"]

        configure(api, public_read=True)
        public = Browser(api)
        page = await public.get("tokens")
        assert "web" in page.id("token-list").text
        assert not [link for link in page.root.one("main").all("a") if link["href"].startswith("token-")]
        assert (await public.get("token-create")).goes_to.startswith("login")


async def test_the_list_says_how_each_is_doing_and_is_searched_and_paged() -> None:
    async with open_api() as api:
        put(api, "never")
        put(api, "over", format_time(NOW - timedelta(days=1)))
        put(api, "soon", format_time(NOW + timedelta(days=3)))
        put(api, "fine", format_time(NOW + timedelta(days=90)))
        put(api, "odd", "some day")
        admin = await administrator(api)
        rows = (await admin.get("tokens")).id("token-list").one("tbody").all("tr")
        assert {row.one("th").text: row.one(class_="status").text for row in rows} == {
            "never": "Never ends",
            "over": "Expired",
            "soon": "Ends soon",
            "fine": "Valid",
            "odd": "Unreadable",
        }
        found = await admin.submit((await admin.get("tokens")).form("tokens"), q="FINE read")
        assert [row.one("th").text for row in found.id("token-list").one("tbody").all("tr")] == ["fine"]
        assert list((await admin.json("tokens?q=fine")).json) == ["fine"]
        assert "No token fits" in (await admin.get("tokens?q=nothing")).text
        for number in range(60):
            put(api, f"z{number:02}")
        second = (await admin.get("tokens?offset=50")).id("token-list")
        assert second.one("nav").text == "Previous 51 to 65 of 65"
        for offset in ("9" * 5000, "-1", "x", "%D9%A3"):
            assert (await admin.get(f"tokens?offset={offset}")).status == 200


async def test_without_any_the_page_says_what_to_do_first() -> None:
    async with open_api() as api:
        page = await (await administrator(api)).get("tokens")
        assert "There is no token yet" in page.text
        assert page.id("token-list").one("a").text == "Make the first one"
