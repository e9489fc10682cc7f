"""The same with a browser that runs no script: plain forms, and pages that load themselves again while they wait."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from acme_manager.web.said import SAID
from tests.browser.backstage import Backstage
from tests.browser.conftest import NewPerson
from tests.browser.slow_ca import finalizing_waits
from tests.browser.stage import Stage


def test_a_certificate_is_requested_found_renewed_and_deleted_without_a_script(
    new_person: NewPerson, behind: Backstage[Stage]
) -> None:
    person = new_person(java_script_enabled=False)
    page = person.page
    person.go("certificate-request")
    person.log_in(behind.value.node.token)
    page.get_by_label("Domain", exact=True).fill("plain.example.test")
    page.get_by_label("Issuer").select_option("web")
    page.get_by_role("button", name="Check only").click()
    expect(page.locator("#ahead .status.good").first).to_be_visible()
    expect(page.get_by_label("Domain", exact=True)).to_have_value("plain.example.test")
    with finalizing_waits(behind):
        page.get_by_role("button", name="Request the certificate").click()
        expect(page.get_by_text(SAID["requested"])).to_be_visible()
        expect(page.locator("#attempts [aria-current=step]")).to_contain_text("finalized")
    expect(page.locator("h1 .status")).to_have_text("Fine")

    page.get_by_role("link", name="Certificates", exact=True).click()
    page.get_by_role("searchbox").fill("plain")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(r"q=plain"))
    expect(page.locator("#found tbody tr")).to_have_count(1)
    page.get_by_role("link", name="plain.example.test").click()

    with finalizing_waits(behind):
        page.get_by_role("button", name="Renew now").click()
        expect(page.locator("h1 .status")).to_have_text("Under way")
    expect(page.locator("h1 .status")).to_have_text("Fine")
    expect(page.locator("#versions tbody tr")).to_have_count(2)

    page.locator("#more-menu summary").click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_label("Type plain.example.test to confirm").fill("plain.example.test")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text(SAID["deleted"])).to_be_visible()
    expect(page.get_by_role("link", name="plain.example.test")).to_have_count(0)
    page.locator("#account-menu summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out")).to_be_visible()
