from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.condition import Code
from acme_manager.domain.judging import condition
from acme_manager.domain.operation import Operation, OperationKind, Selector
from acme_manager.domain.report import Installed
from acme_manager.errors import CertificateNotFound, StorageUnavailable
from acme_manager.services.catalogue_row import BATCH, COLUMNS
from acme_manager.services.catalogue_views import Query
from tests.unit.services.cataloguing import DAY, LE, Shelf, certificate, open_shelf
from tests.unit.services.world import NOW

HOUR = timedelta(hours=1)
FINE, OTHERS = certificate("fine.example"), certificate("b.example", "bob", issuer="other")
GONE = certificate("gone.example", age=100)
MANY = (
    FINE,
    GONE,
    OTHERS,
    certificate("www.example", labels="team=web,env=prod", encryption="RSA-2048", dns_challenge="own"),
    certificate("db.example", labels="team=data", san="DB2.example", age=65, renewal_days="7"),
)


async def domains(shelf: Shelf, owner: str | None = None, **query: Any) -> list[str]:
    page = await shelf.catalogue.rows(owner, Query(**{"sort": "domain", **query}))
    return [entry.certificate.domain.removesuffix(".example") for entry in page.rows]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["b", "db", "fine", "gone", "www"]),
        ({"q": "db2"}, ["db"]),
        ({"q": "ALICE fine"}, ["fine"]),
        ({"q": "alice other"}, []),
        ({"issuer": "other"}, ["b"]),
        ({"owner": "bob"}, ["b"]),
        ({"key_type": "rsa2048"}, ["www"]),
        ({"challenge": "dns: own"}, ["www"]),
        ({"challenge": "http: kvring"}, ["b"]),
        ({"labels": (("team", None),)}, ["db", "www"]),
        ({"labels": (("team", "web"), ("env", "prod"))}, ["www"]),
        ({"conditions": frozenset({Code.EXPIRED})}, ["gone"]),
        ({"expiring": 30}, ["db", "gone"]),
        ({"descending": True, "offset": 1, "limit": 2}, ["gone", "fine"]),
        ({"sort": "condition", "limit": 1}, ["gone"]),
        ({"sort": "expires", "descending": True, "q": "alice", "limit": 1}, ["fine"]),
        ({"offset": 9}, []),
    ],
)
async def test_the_table_is_searched_filtered_sorted_and_paged(query: dict[str, Any], found: list[str]) -> None:
    with open_shelf(*MANY) as shelf:
        assert await domains(shelf, **query) == found


async def test_a_page_says_how_much_there_is_and_what_can_be_chosen_from() -> None:
    with open_shelf(*MANY) as shelf:
        page = await shelf.catalogue.rows(None, Query(q="alice", conditions=frozenset({Code.FINE}), limit=1))
    assert (page.total, len(page.rows)) == (3, 1)
    assert {code: count for code, count in page.counts.items() if count} == {Code.FINE: 3, Code.EXPIRED: 1}
    assert page.facets.issuers == {"le": 4, "other": 1}
    assert page.facets.owners == {"alice": 4, "bob": 1}
    assert page.facets.key_types == {"ec256": 4, "rsa2048": 1}
    assert page.facets.challenges == {"dns: own": 1, "dns: route53": 3, "http: kvring": 1}


async def test_every_column_sorts_both_ways_over_more_than_one_batch() -> None:
    made = [certificate(f"h{number * 7919 % 1301}.example", age=number % 59) for number in range(BATCH + 50)]
    with open_shelf(*made) as shelf:
        for column, key in COLUMNS.items():
            whole = await shelf.catalogue.rows(None, Query(sort=column, limit=2000))
            rows = {row.key: row for row in shelf.catalogue._sorted}
            expected = sorted(rows.values(), key=key)
            assert [entry.key for entry in whole.rows] == [row.key for row in expected]
            page = await shelf.catalogue.rows(None, Query(sort=column, descending=True, offset=300, limit=5))
            expected = sorted(rows.values(), key=key, reverse=True)
            assert [entry.key for entry in page.rows] == [row.key for row in expected[300:305]]


async def test_one_certificate_comes_with_its_condition_plan_and_place_in_life() -> None:
    with open_shelf(*MANY) as shelf:
        entry = await shelf.catalogue.entry(FINE.id)
        with pytest.raises(CertificateNotFound):
            await shelf.catalogue.entry(CertificateId("alice", "le", "other.example"))
    assert entry.condition.code is Code.FINE
    assert entry.plan is not None
    assert entry.timeline is not None
    assert 0.1 < entry.timeline.places["now"] < entry.timeline.places["planned"] < 1


async def test_an_owner_never_sees_what_is_not_hers() -> None:
    """Names of owners that begin alike must not be taken for each other."""
    owners = ("al", "alice", "alice2", "alice-b", "bob")
    made = [certificate(f"{owner}{n}.example", owner, age=n, labels=f"of={owner}") for owner in owners for n in (1, 99)]
    with open_shelf(*made) as shelf:
        for owner in owners:
            shelf.attempt(f"{owner}/le/new.example", "failed", error="no")
            shelf.attempt(f"{owner}/le/{owner}1.example", "running")
            shelf.report(owner, f"{owner}-host", Installed(issuer="le", domain=f"{owner}1.example", fingerprint="old"))
        for owner in owners:
            page = await shelf.catalogue.rows(owner, Query())
            overview, inventory = await shelf.catalogue.overview(owner), await shelf.catalogue.inventory(owner)
            seen = [*page.rows, *overview.wrong, *overview.following]
            assert {entry.certificate.owner for entry in seen} == {owner}
            assert [work.id.owner for work in (*overview.requests, *overview.running)] == [owner] * 2
            assert page.facets.owners == inventory.owners == {owner: 2}
            assert inventory.labels == {"of": {owner: 2}}
            assert (page.total, overview.total, inventory.total) == (2, 2, 2)
            assert (inventory.hosts, inventory.reported) == (1, 1)
            assert [entry.key for entry in (await shelf.catalogue.rows(owner, Query(owner="bob"))).rows] == (
                [entry.key for entry in page.rows] if owner == "bob" else []
            )


async def test_the_overview_says_what_is_wrong_what_comes_next_and_what_goes_on() -> None:
    late = certificate("late.example", age=75)
    with open_shelf(FINE, GONE, late, certificate("next.example", age=50)) as shelf:
        shelf.fail(FINE)
        shelf.attempt(late.id.key, "running", steps=[{"step": "ordered", "at": "2026-11-24T12:00:00Z"}])
        shelf.attempt("alice/le/new.example", "failed", error="the CA refuses it")
        shelf.attempt("alice/called", "failed", began=NOW + DAY, error="so it does")
        overview = await shelf.catalogue.overview(None)
        shelf.clock.at = NOW + 2 * DAY
        later = await shelf.catalogue.overview(None, most=1, days=20)
    assert [entry.certificate.domain for entry in overview.wrong] == ["gone.example", "fine.example"]
    assert [entry.certificate.domain for entry in overview.following] == ["late.example", "next.example"]
    (running,) = overview.running
    assert (running.certificate, running.attempt.steps[0][0]) == (late, "ordered")
    assert later.running == []
    assert [work.id for work in later.requests] == [CertificateId("alice", name="called")]
    assert (len(later.wrong), later.wrong_total) == (1, 3)
    assert [work.id for work in overview.requests] == [CertificateId("alice", "le", "new.example")]
    assert sum(overview.counts.values()) == overview.total == 4
    assert sum(day.renewals for day in overview.days) == 3
    assert overview.days[0].renewals == 2
    assert overview.days[0].date == NOW.date()
    assert [day.expiries for day in later.days].count(1) == 1


async def test_a_condition_changes_with_time_and_with_everything_that_it_depends_on() -> None:
    due = certificate("due.example", age=65, renewal_days="15-24")

    async def code() -> Code:
        return (await shelf.catalogue.rows(None, Query())).rows[0].condition.code

    with open_shelf(due) as shelf:
        planned = (await shelf.catalogue.entry(due.id)).plan
        assert planned is not None
        moments = (planned.due, Code.DUE), (planned.end + HOUR, Code.LATE), (NOW + 25 * DAY, Code.EXPIRED)
        for at, expected in moments:
            assert await code() is not expected
            shelf.clock.at = at
            assert await code() is expected
        shelf.clock.at = NOW
        fresh = attrs.evolve(due, updated_at=1)
        shelf.keep(fresh)
        assert await code() is Code.FINE
        shelf.fail(fresh)
        assert await code() is Code.FAILING
        shelf.know(fresh)
        shelf.report("alice", "web1", Installed(issuer="le", domain="due.example", fingerprint="old"))
        assert await code() is Code.NOT_INSTALLED
        shelf.report("alice", "web1")
        shelf.attempt(fresh.id.key, "running")
        assert await code() is Code.RENEWING
        shelf.attempt(fresh.id.key, "issued")
        assert await code() is Code.FINE
        operation = Operation(
            id="1", kind=OperationKind.REVOKE, selector=Selector(all=True), started_at=1 << 50, total=1, since=0
        )
        shelf.state.publish_operation(operation)
        assert await code() is Code.HELD
        shelf.state.withdraw_operation("1")
        assert await code() is Code.FINE
        shelf.settings.config = attrs.evolve(shelf.settings.config, issuers={})
        assert await code() is Code.NO_ISSUER
        shelf.settings.config = attrs.evolve(shelf.settings.config, issuers={"le": attrs.evolve(LE, dns_challenge="x")})
        assert (await shelf.catalogue.rows(None, Query())).facets.challenges == {"dns: x": 1}


async def test_a_certificate_that_is_removed_takes_its_failed_attempt_with_it() -> None:
    with open_shelf(FINE) as shelf:
        shelf.attempt(FINE.id.key, "failed", error="an update that the CA refuses")
        assert [entry.condition.code for entry in (await shelf.catalogue.overview(None)).wrong] == [Code.REQUEST_FAILED]
        shelf.state.withdraw(FINE.id.key)
        overview = await shelf.catalogue.overview(None)
        assert (overview.total, overview.requests) == (0, [])


async def test_a_record_of_another_program_is_shown_for_what_it_is() -> None:
    foreign = (
        certificate("nodate.example", expires="soon"),
        certificate("zero.example", expires="0001-01-01 00:00:00 +0000 UTC"),
        certificate("far.example", expires="8999-12-31 23:59:59 +0000 UTC", issued_at=1 << 60),
    )
    with open_shelf(*foreign) as shelf:
        page = await shelf.catalogue.rows(None, Query(sort="domain"))
        overview = await shelf.catalogue.overview(None)
        inventory = await shelf.catalogue.inventory(None)
    assert {entry.condition.code for entry in page.rows} == {Code.UNKNOWN}
    assert (overview.wrong_total, inventory.lifetimes) == (3, {"unknown": 3})


async def test_one_that_can_not_be_judged_is_left_out_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(facts: Any, now: Any) -> Any:
        if facts.issuer == "other":
            raise RuntimeError("nobody foresaw this")
        return condition(facts, now)

    with open_shelf(*MANY) as shelf:
        monkeypatch.setattr("acme_manager.services.catalogue.condition", fails)
        with capture_logs() as logs:
            assert "b" not in await domains(shelf)
    assert [(line["key"], line["log_level"]) for line in logs] == [(OTHERS.id.key, "error")]


async def test_the_inventory_counts_what_there_is_and_names_what_is_weak() -> None:
    made = (
        *MANY,
        certificate("weak.example", encryption="RSA-1024", profile="classic", issued_by="other"),
        certificate("long.example", issued_at=0, days=800, expires="2028-01-01 00:00:00 +0000 UTC"),
        certificate("kept.example", csr="a request", renewal_count=20),
        certificate("new.example", csr="a request", renewal_count=2),
        certificate("short.example", expires="2026-11-20 12:00:00 +0000 UTC"),
    )
    with open_shelf(*made) as shelf:
        found = await shelf.catalogue.inventory(None)
    assert found.total == 10
    assert found.issuers == {"le": 9, "other": 1}
    assert found.issued_by == {"le": 8, "other": 2}
    assert found.key_types == {"ec256": 8, "rsa2048": 1, "rsa1024": 1}
    assert found.profiles == {"": 9, "classic": 1}
    assert found.labels == {"env": {"prod": 1}, "team": {"web": 1, "data": 1}}
    assert found.lifetimes == {"up to 7 days": 1, "up to 100 days": 8, "over 398 days": 1}
    assert found.keys == {"server": 8, "host": 2}
    weak = {weakness.code: [key.rpartition("/")[2] for key in weakness.keys] for weakness in found.weaknesses}
    assert weak == {
        "short_rsa": ["weak.example"],
        "long_life": ["long.example"],
        "old_key": ["kept.example"],
    }


async def test_an_entry_of_another_version_is_left_out() -> None:
    with open_shelf(FINE) as shelf, capture_logs() as logs:
        for value in (b"{", b"[7]", b'{"a": 1}', b'[{"outcome": "failed", "began": 7}]'):
            shelf.shared.put(f"attempt/{FINE.id.key}", value)
        assert (await shelf.catalogue.entry(FINE.id)).condition.code is Code.FINE
    assert len(logs) == 4


async def test_nothing_is_answered_before_everything_is_known() -> None:
    with open_shelf() as shelf:
        shelf.state.loaded = trio.Event()
        with pytest.raises(StorageUnavailable):
            await shelf.catalogue.overview(None)


async def test_it_keeps_up_while_nobody_asks(autojump_clock: MockClock) -> None:
    with open_shelf(FINE) as shelf:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shelf.catalogue.run)
            await trio.testing.wait_all_tasks_blocked()
            shelf.keep(GONE)
            await trio.testing.wait_all_tasks_blocked()
            assert [row.code for row in shelf.catalogue._sorted] == [Code.FINE, Code.EXPIRED]
            shelf.clock.at = NOW + timedelta(days=80)
            await trio.sleep(100)
            assert [row.code for row in shelf.catalogue._sorted] == [Code.EXPIRED, Code.EXPIRED]
            nursery.cancel_scope.cancel()
