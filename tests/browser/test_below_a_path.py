"""Behind a proxy that has the server below `/acme/`, and sends each request to another node."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import NewPerson
from tests.browser.person import Person
from tests.browser.stage import PREFIX, Stage


def test_everything_works_below_a_path_and_at_any_node(new_person: NewPerson, stage: Stage) -> None:
    person = new_person(stage.below)
    page = person.page
    person.go()
    person.log_in(stage.node.token)
    cookies = {cookie["name"]: cookie["path"] for cookie in page.context.cookies()}
    assert cookies["acme_manager_session"] == f"{PREFIX}/ui"
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Certificates").click()
    page.get_by_role("link", name="Request a certificate").first.click()
    page.get_by_label("Domain", exact=True).fill("below.example.test")
    page.get_by_label("Issuer").select_option("pebble")
    expect(page.locator("#ahead .status.good").first).to_be_visible()
    page.get_by_role("button", name="Request the certificate").click()
    expect(page).to_have_url(re.compile(re.escape(f"{stage.below}/ui/certificate?")))
    person.stay()
    expect(page.locator("h1 .status")).to_have_text("Fine")
    assert person.stayed()
    page.get_by_role("link", name="ACME Manager").click()
    expect(page).to_have_url(f"{stage.below}/ui/")


def test_people_log_in_at_the_provider_as_what_their_groups_say(new_person: NewPerson, stage: Stage) -> None:
    root = at_provider(new_person(stage.below), "root")
    expect(root.page.get_by_role("link", name="Tokens")).to_be_visible()
    expect(root.page.locator("#account-menu")).to_contain_text("Administrator")

    alice = new_person(stage.below)
    alice.go("certificates?q=x")
    at_provider(alice, "alice")
    expect(alice.page).to_have_url(f"{stage.below}/ui/certificates?q=x")
    expect(alice.page.locator("#account-menu")).to_contain_text("Owner web")
    expect(alice.page.get_by_role("link", name="Tokens")).to_have_count(0)
    alice.page.locator("#account-menu summary").click()
    alice.page.get_by_role("button", name="Log out").click()
    expect(alice.page.get_by_text("You are logged out")).to_be_visible()
    alice.go("certificates")
    expect(alice.page).to_have_title("Log in · ACME Manager")

    mallory = new_person(stage.below)
    with mallory.foreseeing(401), mallory.foreseeing(403):
        at_provider(mallory, "mallory")
        expect(mallory.page.get_by_role("alert")).to_contain_text("group")


def at_provider(person: Person, name: str) -> Person:
    page = person.page
    page.route(re.compile(r"https?://(?!127\.)"), lambda route: route.fulfill(body=""))  # its page wants a style sheet
    if "login" not in page.url:
        person.go("login")
    page.get_by_role("link", name="Log in with the staff directory").click()
    page.locator("input[name=sub]").fill(f"id-{name}")
    page.get_by_role("button", name="Authorize").click()
    expect(page).to_have_url(re.compile(re.escape(f"{person.url}/ui/")))
    return person
