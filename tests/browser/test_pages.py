"""Every page, in dark and light, on a desk and on a phone: nothing keeps anybody from using it."""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import urlencode

from playwright.sync_api import expect
from quart import Quart

from acme_manager.web.site import PAGES
from tests.browser.axe import violations
from tests.browser.conftest import NewPerson
from tests.browser.pages import SHOP, Furniture, of_administrator, of_owner
from tests.browser.person import DESKTOP, PHONE, Person
from tests.browser.stage import Stage
from tests.parts.node import API_KEY

# What programs and links get, and what leads to another page at once.
NO_PAGES = {"events", "certificate-file", "certificates-csv", "inventory-csv", "login-oidc", "login-callback"}
STILL = {"reduced_motion": "reduce"}  # colours that fade have no contrast to measure


def test_axe_sees_what_is_wrong(admin: Person) -> None:
    admin.page.evaluate("document.querySelector('h1').innerHTML = '<img src=\"static/icon.svg\">'")
    assert {one.partition(":")[0] for one in violations(admin.page)} >= {"image-alt"}


def test_nothing_is_wrong_with_any_page_of_an_administrator(new_person: NewPerson, furniture: Furniture) -> None:
    person = new_person(**STILL)
    person.log_in(API_KEY)
    wrong = {}
    for name, address in of_administrator(furniture).items():
        person.page.set_viewport_size(DESKTOP)
        person.go(address)
        wrong[name, "light"] = violations(person.page)
        person.page.emulate_media(color_scheme="dark")
        wrong[name, "dark"] = violations(person.page, "color-contrast")
        person.page.emulate_media(color_scheme="light")
        wrong[name, "phone"] = seen_on_phone(person)
    assert {where: what for where, what in wrong.items() if what} == {}


def test_nothing_is_wrong_with_any_page_of_an_owner(new_person: NewPerson, stage: Stage, furniture: Furniture) -> None:
    person = new_person(**STILL)
    person.page.context.add_cookies([{"name": "acme_manager_theme", "value": "dark", "url": person.url}])
    person.log_in(stage.node.token)
    wrong = {}
    for name, address in {**of_owner(), "certificate-pkcs12": f"certificate-pkcs12?{urlencode(SHOP)}"}.items():
        person.page.set_viewport_size(DESKTOP)
        person.go(address)
        wrong[name] = seen_on_phone(person)
    assert {where: what for where, what in wrong.items() if what} == {}


def test_nothing_is_wrong_with_what_tells_of_errors(new_person: NewPerson, furniture: Furniture) -> None:
    person, wrong = new_person(**STILL), {}
    page = person.page
    person.go("login")
    wrong["login"] = violations(page) + seen_on_phone(person)
    page.get_by_label("API key or token").fill("nonsense")
    with person.foreseeing(401):
        page.get_by_role("button", name="Log in", exact=True).click()
        expect(page.get_by_role("alert")).to_be_visible()
    wrong["login refused"] = violations(page)
    person.log_in(API_KEY)
    with person.foreseeing(404):
        person.go("certificate?owner=alice&issuer=pebble&domain=nobody.example.test")
    wrong["not found"] = violations(page) + seen_on_phone(person)
    person.go("certificate-request")
    page.get_by_label("Owner").fill("a/b")
    page.get_by_label("Domain", exact=True).fill("not a name")
    page.get_by_label("Issuer").select_option("pebble")
    with person.foreseeing(400):
        page.get_by_role("button", name="Request the certificate").click()
        expect(page.get_by_role("alert")).to_be_visible()
    wrong["form refused"] = violations(page) + seen_on_phone(person)
    assert {where: what for where, what in wrong.items() if what} == {}


def test_no_page_is_forgotten(furniture: Furniture) -> None:
    site = Quart("site")
    for routes in PAGES:
        site.register_blueprint(routes)
    there = {rule.rule.removeprefix("/ui/") for rule in site.url_map.iter_rules() if "GET" in (rule.methods or ())}
    there = {name for name in there if "/" not in name}
    looked_at = {address.partition("?")[0] for address in of_administrator(furniture).values()}
    assert there - looked_at == {"login", "certificate-pkcs12", "cluster-forget", *NO_PAGES}


def test_a_phone_has_a_menu_that_opens_and_tables_that_are_cards(new_person: NewPerson, furniture: Furniture) -> None:
    person = new_person(viewport=PHONE, is_mobile=True, has_touch=True)
    page = person.page
    person.log_in(API_KEY)
    menu = page.get_by_role("navigation", name="Main")
    expect(menu).to_be_hidden()
    page.get_by_text("Menu", exact=True).tap()
    menu.get_by_role("link", name="Certificates").tap()
    expect(page).to_have_title("Certificates · ACME Manager")
    expect(menu).to_be_hidden()
    row = page.locator("#found tbody tr").filter(has_text="www.example.test")
    boxes = [box for cell in row.locator("th, td:not(.pick)").all() if (box := cell.bounding_box())]
    boxes.sort(key=lambda box: box["y"])
    assert len(boxes) > 3
    assert all(above["y"] + above["height"] <= below["y"] + 1 for above, below in pairwise(boxes))


def seen_on_phone(person: Person) -> list[str]:
    """What is wrong with the page that is open, at the width of a phone."""
    person.page.set_viewport_size(PHONE)
    wider = person.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return violations(person.page) + ([f"{wider} pixels wider than the window"] if wider > 0 else [])
