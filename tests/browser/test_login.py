"""Getting in and out."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import NewPerson
from tests.browser.person import Person
from tests.browser.stage import Stage
from tests.parts.node import API_KEY


def test_who_has_the_key_logs_in_and_out(new_person: NewPerson) -> None:
    person = new_person()
    page = person.page
    person.go()
    expect(page).to_have_title("Log in · ACME Manager")
    person.log_in(API_KEY)
    expect(page).to_have_title("Home · ACME Manager")
    page.locator("#account-menu summary").click()
    expect(page.locator("#account-menu")).to_contain_text("Administrator")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out")).to_be_visible()
    person.go("certificates")
    expect(page).to_have_title("Log in · ACME Manager")


def test_what_opens_nothing_is_refused_with_a_reason(new_person: NewPerson) -> None:
    person = new_person()
    person.go("login")
    with person.foreseeing(401):
        person.page.get_by_label("API key or token").fill("not the key")
        person.page.get_by_role("button", name="Log in", exact=True).click()
        expect(person.page.get_by_role("alert")).to_be_visible()
    person.log_in(API_KEY)


def test_who_is_out_is_led_to_log_in_and_back(alice: Person, stage: Stage) -> None:
    page = alice.page
    page.context.clear_cookies()
    page.get_by_role("link", name="Certificates").first.click()
    expect(page).to_have_url(re.compile(r"/ui/login\?next=certificates"))
    alice.log_in(stage.node.token)
    expect(page).to_have_url(re.compile(r"/ui/certificates$"))
