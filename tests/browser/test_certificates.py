"""The life of a certificate, seen as it happens."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from acme_manager.web.said import SAID
from tests.browser.backstage import Backstage
from tests.browser.person import Person
from tests.browser.slow_ca import finalizing_waits
from tests.browser.stage import Stage


def test_a_certificate_is_requested_renewed_and_revoked_with_every_step_seen_as_it_happens(
    alice: Person, behind: Backstage[Stage]
) -> None:
    page = alice.page
    alice.go("certificate-request")
    fill_in_while_it_is_looked_at(page)
    with finalizing_waits(behind):
        page.get_by_role("button", name="Request the certificate").click()
        expect(page.get_by_text(SAID["requested"])).to_be_visible()
        alice.stay()
        expect(page.locator("#attempts [aria-current=step]")).to_contain_text("finalized")
        expect(page.locator("#attempts .steps li.done")).to_have_text(
            [re.compile("ordered"), re.compile("challenge"), re.compile("validated")]
        )
    expect(page.locator("h1 .status")).to_have_text("Fine")
    expect(page.locator("#attempts .steps li.done")).to_have_count(6)
    assert alice.stayed()

    first = fingerprint(page)
    with finalizing_waits(behind):
        page.get_by_role("button", name="Renew now").click()
        expect(page.locator("h1 .status")).to_have_text("Under way")
        alice.stay()
        assert fingerprint(page) == first
    expect(page.locator("h1 .status")).to_have_text("Fine")
    expect(page.locator("#facts [data-copy]").first).not_to_have_attribute("data-copy", first)
    expect(page.locator("#versions tbody tr")).to_have_count(2)
    assert alice.stayed()

    serial = int(page.locator("#facts [data-copy]").nth(1).get_attribute("data-copy") or "", 16)
    revoke(alice)
    alice.stay()
    expect(page.get_by_role("link", name="shop.example.test")).to_have_count(0)
    assert alice.stayed()
    assert behind.call(behind.value.cluster.ca.status, serial) == "Revoked"


def fill_in_while_it_is_looked_at(page: Page) -> None:
    ahead = page.locator("#ahead")
    expect(ahead).to_contain_text("Name a domain and an issuer")
    page.get_by_label("Domain", exact=True).press_sequentially("shop.elsewhere.example")
    page.get_by_label("Issuer").select_option("pebble")
    expect(ahead.locator(".status.bad").first).to_be_visible()
    page.get_by_label("Domain", exact=True).fill("shop.example.test")
    expect(ahead.locator(".status.bad")).to_have_count(0)
    expect(ahead.locator(".status.good").first).to_be_visible()


def fingerprint(page: Page) -> str:
    return page.locator("#facts [data-copy]").first.get_attribute("data-copy") or ""


def revoke(person: Person) -> None:
    """Not without the reason and the name."""
    page = person.page
    page.locator("#more-menu summary").click()
    page.get_by_role("link", name="Revoke…").click()
    page.get_by_label("No longer needed").check()
    name = page.get_by_label("Type shop.example.test to confirm")
    name.fill("shop")
    with person.foreseeing(400):
        page.get_by_role("button", name="Revoke and delete").click()
        expect(page.get_by_role("alert")).to_contain_text("type 'shop.example.test' to confirm")
    expect(page.get_by_label("No longer needed")).to_be_checked()
    name.fill("shop.example.test")
    page.get_by_role("button", name="Revoke and delete").click()
    expect(page.get_by_text(SAID["deleting"])).to_be_visible()
