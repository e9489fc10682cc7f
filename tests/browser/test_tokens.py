"""Tokens, as an administrator makes them for others."""

from __future__ import annotations

import httpx
from playwright.sync_api import expect

from acme_manager.web.said import SAID
from tests.browser.backstage import Backstage
from tests.browser.person import Person
from tests.browser.stage import Stage

METADATA = "/api/v1/certificate/metadata"


def test_a_token_is_shown_once_opens_the_api_and_is_revoked(admin: Person, behind: Backstage[Stage]) -> None:
    page = admin.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    admin.go("tokens")
    page.get_by_role("link", name="New token").click()
    page.get_by_label("Owner").fill("tokentest")
    page.get_by_label("Only for these names").fill("*.shop.example.test")
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_text("Copy it now: it is shown this once.")).to_be_visible()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    secret = page.evaluate("navigator.clipboard.readText()")
    assert secret == page.locator(".copyable code").inner_text()
    assert status_with(behind, secret) == httpx.codes.OK

    page.get_by_role("link", name="Done").click()
    row = page.get_by_role("row").filter(has_text="tokentest")
    expect(row).to_contain_text("*.shop.example.test")
    assert secret not in page.content()
    row.get_by_role("link", name="Revoke").click()
    page.get_by_label("Type the owner").fill("tokentest")
    page.get_by_role("button", name="Revoke the token").click()
    expect(page.get_by_text(SAID["token-revoked"])).to_be_visible()
    expect(row).to_have_count(0)
    assert status_with(behind, secret) == httpx.codes.UNAUTHORIZED


def test_a_form_that_is_wrong_says_where_and_keeps_what_was_typed(admin: Person) -> None:
    page = admin.page
    admin.go("token-create")
    page.get_by_label("Owner").fill("typed/owner")
    with admin.foreseeing(400):
        page.get_by_role("button", name="Make the token").click()
        expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Owner")).to_have_value("typed/owner")
    expect(page.get_by_label("Owner")).to_be_focused()


def status_with(behind: Backstage[Stage], token: str) -> int:
    async def ask() -> int:
        async with behind.value.node.client(token) as client:
            return (await client.get(METADATA)).status_code

    return behind.call(ask)
