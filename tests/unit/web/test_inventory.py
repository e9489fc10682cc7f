"""The inventory: what is counted, for whom, and that each figure leads to the very certificates that it counts."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.report import Installed, Report
from tests.unit.api.world import Api, open_api
from tests.unit.services.cataloguing import certificate
from tests.unit.web.browser import Browser, Page, administrator, owner

MANY = (
    certificate("a.example", issuer="test", labels="env=prod,team=web"),
    certificate("b.example", issuer="test", labels="env=prod", encryption="RSA-1024", profile="shortlived"),
    certificate("c.example", issuer="test", issued_by="bare", csr="x", age=300, renewal_count=20),
    certificate("d.example", issuer="gone", expires="never", owner="bob", labels="env=,team=+1"),
)


def keep(api: Api, *certificates: Certificate) -> None:
    for one in certificates:
        api.world.state.publish(one)
    api.services.reports.take("alice", Report(host="web-1", certificates=(installed("a.example"),)))


def installed(domain: str) -> Installed:
    return Installed(issuer="test", domain=domain, fingerprint=f"of {domain}")


def figures(page: Page) -> Iterator[tuple[str, int]]:
    """Each link to the table with the number beside it."""
    for row in page.root.all(class_="row"):
        (link,) = row.all("a")
        words = link if link.text.split()[0].isdigit() else row.one("span", class_="nowrap")
        yield link["href"], int(words.text.split()[0])
    for head in page.root.all(class_="card-head"):  # of a label
        for link in head.all("a"):
            yield link["href"], int(link.text.split()[0])
    for link in page.root.one(class_="figures").all("a"):
        yield link["href"], int(link.one(class_="figure").text)


async def leads_to(browser: Browser, href: str) -> int:
    found = await browser.json(href)
    assert found.status == 200, (href, found.body)
    return len(found.json)


async def test_every_figure_leads_to_the_certificates_that_it_counts() -> None:
    async with open_api() as api:
        keep(api, *MANY)
        for browser, total in (await administrator(api), 4), (await owner(api, username="bob"), 1):
            page = await browser.get("inventory")
            shown = list(figures(page))
            assert len(shown) > 10
            for href, number in shown:
                assert await leads_to(browser, href) == number, href
            assert ("certificates", total) in shown


async def test_what_is_weak_stands_on_top_and_what_is_not_is_said_too() -> None:
    async with open_api() as api:
        keep(api, MANY[0])
        admin = await administrator(api)
        assert "Nothing weak" in (await admin.get("inventory")).id("weak").text
        keep(api, *MANY)
        page = await admin.get("inventory")
        weak = page.id("weak").text
        for words in ("RSA keys of less than 2048 bits", "Keys of hosts", "Records without an expiry"):
            assert words in weak
        assert page.body.index('id="weak"') < page.body.index('id="all"') < page.body.index('id="by-issuer"')
        assert "1 host reports" in page.id("all").text
        table = await admin.get("certificates?weakness=short_rsa")
        assert "Weak: RSA keys of less than 2048 bits" in table.text
        assert "b.example" in table.id("found").text
        assert "a.example" not in table.id("found").text
        assert "or with all" not in table.text  # an operation has no words for that choice, and would take them all


async def test_an_owner_sees_figures_of_its_own_only() -> None:
    async with open_api() as api:
        keep(api, *MANY)
        bob = await owner(api, username="bob")
        page, record = await bob.get("inventory"), (await bob.json("inventory")).json
        assert record["total"] == 1
        assert record["owners"] == {"bob": 1}
        assert "alice" not in page.body
        assert "prod" not in page.body
        assert (await bob.json("certificates?reported=yes")).json == []
        assert not page.root.all(id="by-owner")


async def test_programs_get_the_counts_as_json_and_spreadsheets_as_csv() -> None:
    async with open_api() as api:
        keep(api, *MANY)
        admin = await administrator(api)
        record = (await admin.json("inventory")).json
        assert record["issuers"] == {"test": 3, "gone": 1}
        assert record["keys"] == {"server": 3, "host": 1}
        export = await admin.get("inventory-csv")
        assert export.headers["Content-Disposition"] == 'attachment; filename="inventory.csv"'
        head, *rows = csv.reader(export.body.splitlines())
        assert head == ["by", "value", "certificates"]
        counted = {(by, value): int(number) for by, value, number in rows}
        assert counted["all", ""] == 4
        assert counted["reported", "yes"] == counted["weakness", "short_rsa"] == counted["profile", "shortlived"] == 1
        assert counted["issued_by", "bare"] == counted["key", "host"] == 1
        assert counted["label env", "prod"] == 2
        assert counted["label team", "'+1"] == 1  # no formula


async def test_with_nothing_to_count_it_says_so_and_what_is_not_there_to_filter_by_is_told() -> None:
    async with open_api() as api:
        admin = await administrator(api)
        page = await admin.get("inventory")
        assert "Nothing to count yet" in page.text
        assert "NaN" not in page.body
        for wrong in ("weakness=all", "reported=perhaps"):
            assert "must be" in (await admin.get(f"certificates?{wrong}")).said
            assert (await admin.json(f"certificates?{wrong}")).status == 400
