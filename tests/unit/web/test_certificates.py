"""The table: what is found, in which order and columns, for whom, and how it leaves as CSV and JSON."""

from __future__ import annotations

import csv
import io

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.token import Scope
from tests.unit.api.world import Api, open_api
from tests.unit.services.cataloguing import certificate
from tests.unit.web.browser import Page, administrator, owner

MANY = (
    certificate("*.a.example", issuer="test", labels="env=prod,team=web", san="a.example, b.example", serial="aa"),
    certificate("xn--mller-kva.example", issuer="test", name="mueller", labels="env=dev", renewal_days="9", age=20),
    certificate("b.example", issuer="bare", age=89, renewal_days="30-40", dns_challenge="route53", serial="bb"),
    certificate("c.example", issuer="gone", owner="bob", expires="never", labels="x==1", serial="cc"),
)


def keep(api: Api, *certificates: Certificate) -> None:
    for one in certificates:
        api.world.state.publish(one)


def titles(page: Page) -> list[str]:
    return [row.all("a")[0].text for row in page.root.all("th", scope="row")]


def heads(page: Page) -> list[str]:
    return [head.text for head in page.root.one("thead").all("th") if head.all("a") or head.text == "Hosts"]


async def test_rows_are_searched_filtered_and_sorted() -> None:
    async with open_api() as api:
        keep(api, *MANY)
        admin = await administrator(api)
        for address, expected in (
            ("certificates?q=MUELLER", ["mueller"]),
            ("certificates?q=b.example+prod", ["*.a.example"]),
            ("certificates?owner=bob", ["c.example"]),
            ("certificates?label=env=prod,team", ["*.a.example"]),
            ("certificates?expiring=5", ["b.example"]),
            ("certificates?challenge=dns:+route53", ["b.example"]),
            ("certificates?condition=no_issuer", ["c.example"]),
            ("certificates?sort=domain&owner=alice", ["*.a.example", "b.example", "mueller"]),
            ("certificates?sort=-renewal_days&owner=alice", ["b.example", "mueller", "*.a.example"]),
            ("certificates?sort=domain&limit=2&offset=2", ["c.example", "mueller"]),
        ):
            assert titles(await admin.get(address)) == expected, address


async def test_the_counts_lead_to_what_they_count_and_keep_the_other_filters() -> None:
    async with open_api() as api:
        keep(api, *MANY)
        admin = await administrator(api)
        page = await admin.get("certificates?q=example")
        shown = {one.text: one["href"] for one in page.root.all("a", class_="quick-filter")}
        assert titles(await admin.get(shown["No issuer 1"])) == ["c.example"]
        assert "q=example" in shown["No issuer 1"]
        assert "All 4" in shown


async def test_columns_are_kept_in_the_address_and_remembered() -> None:
    async with open_api() as api:
        keep(api, *MANY)
        admin = await administrator(api)
        usual = heads(await admin.get("certificates"))
        assert usual == ["Condition", "Domain", "Issuer", "Owner", "Expires", "Next renewal", "Labels"]
        page = await admin.get("certificates?columns=hosts&columns=serial&columns=domain&columns=nonsense")
        assert heads(page) == ["Domain", "Serial", "Hosts"]
        assert "columns=domain%2Cserial%2Chosts" in page.root.one("thead").all("a")[0]["href"]
        assert heads(await admin.get("certificates")) == ["Domain", "Serial", "Hosts"]
        assert heads(await admin.get("certificates?columns=issuer")) == ["Issuer"]


async def test_an_owner_sees_their_own_and_no_column_of_owners() -> None:
    async with open_api() as api:
        keep(api, *MANY)
        alice = await owner(api, Scope.READ)
        page = await alice.get("certificates")
        assert sorted(titles(page)) == ["*.a.example", "b.example", "mueller"]
        assert "Owner" not in heads(page)
        assert "bob" not in page.body
        assert "certificate-request" not in page.body
        assert not page.root.all("input", name="serials")
        for address in ("certificates?owner=bob", "certificates?q=c.example"):
            assert titles(await alice.get(address)) == []
            assert (await alice.json(address)).json == []
            assert len((await alice.get(address.replace("certificates", "certificates-csv"))).body.splitlines()) == 1


async def test_who_has_none_is_told_what_to_do_first() -> None:
    async with open_api() as api:
        page = await (await owner(api)).get("certificates")
        assert "No certificates yet" in page.text
        assert page.root.all("a", href="certificate-request")
        nothing = await (await owner(api)).get("certificates?q=nothing")
        assert "Nothing fits" in nothing.text


async def test_an_address_that_makes_no_sense_shows_the_table_and_says_so() -> None:
    async with open_api() as api:
        keep(api, *MANY)
        admin = await administrator(api)
        for address in ("sort=colour", "condition=odd", "limit=many", "expiring=-1", "offset=99999999999"):
            page = await admin.get(f"certificates?{address}")
            assert address.partition("=")[0] in page.said, address
            assert len(titles(page)) == 4
            assert (await admin.json(f"certificates?{address}")).status == 400


async def test_a_file_for_spreadsheets_has_everything_that_fits_and_no_formula() -> None:
    async with open_api() as api:
        keep(api, *MANY, certificate("d.example", issuer="test", labels="=1+1", profile="@SUM(A1)"))
        answer = await (await administrator(api)).get("certificates-csv?sort=domain&limit=1&offset=3")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="certificates.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.body)))
        assert [row["domain"] for row in rows] == [
            "*.a.example",
            "b.example",
            "c.example",
            "d.example",
            "xn--mller-kva.example",
        ]
        dangerous = next(row for row in rows if row["domain"] == "d.example")
        assert (dangerous["labels"], dangerous["profile"]) == ("'=1+1", "'@SUM(A1)")
        assert next(row for row in rows if row["domain"] == "c.example")["expires"] == "never"


async def test_programs_get_the_records_of_the_go_original_with_the_challenge_that_counts() -> None:
    async with open_api() as api:
        keep(api, *MANY)
        admin = await administrator(api)
        answer = await admin.json("certificates")
        records = {one["domain"]: one for one in answer.json}
        assert answer.headers["X-Total-Count"] == "4"
        assert records["*.a.example"]["EffectiveHTTPChallenge"] == "kvring"
        assert records["b.example"]["EffectiveDNSChallenge"] == "route53"
        assert records["c.example"]["EffectiveDNSChallenge"] == records["c.example"]["EffectiveHTTPChallenge"] == ""
        assert records["*.a.example"]["renewal"]["reason"]
        page = await admin.json("certificates?limit=2&sort=domain")
        assert [one["domain"] for one in page.json] == ["*.a.example", "b.example"]
        assert page.headers["X-Total-Count"] == "4"


async def test_an_administrator_starts_an_operation_with_what_is_chosen() -> None:
    async with open_api() as api:
        keep(api, *MANY)
        page = await (await administrator(api)).get("certificates?issuer=test")
        boxes = page.root.all("input", name="serials")
        assert [one["value"] for one in boxes] == ["aa"]  # what has no serial can't be chosen
        (link,) = [one for one in page.root.all("a") if "that fit" in one.text]
        assert link["href"].endswith("?issuers=test")
