"""Everything by keyboard."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from acme_manager.web.said import SAID
from tests.browser.person import Person


def test_the_keyboard_reaches_what_matters_and_menus_close_with_escape(alice: Person) -> None:
    page = alice.page
    alice.go("certificates")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    tab_to(page, page.get_by_role("link", name="Request a certificate").first, most=2)

    page.keyboard.press("/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    page.keyboard.type("a/b")
    expect(search).to_have_value("a/b")

    summary = page.locator("#account-menu summary")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Log out")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()
    expect(summary).to_be_focused()


def test_every_main_entry_of_the_menu_is_one_tab_after_the_other(admin: Person) -> None:
    page = admin.page
    page.locator("nav.side a").first.focus()
    for name in page.locator("nav.side a").all_inner_texts():
        expect(page.get_by_role("navigation", name="Main").get_by_role("link", name=name)).to_be_focused()
        page.keyboard.press("Tab")


def test_a_certificate_is_asked_for_without_a_mouse(alice: Person) -> None:
    page = alice.page
    alice.go("certificate-request")
    page.get_by_label("Domain", exact=True).focus()
    page.keyboard.type("keys.example.test")
    tab_to(page, page.get_by_label("Issuer"))
    page.keyboard.type("web")
    tab_to(page, page.get_by_role("button", name="Request the certificate"))
    page.keyboard.press("Enter")
    expect(page.get_by_text(SAID["requested"])).to_be_visible()
    expect(page.locator("h1 .status")).to_have_text("Fine")


def tab_to(page: Page, wanted: Locator, most: int = 25) -> None:
    """Press Tab until that has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached with {most} times Tab")
