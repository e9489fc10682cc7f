from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import attrs
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from acme_manager.config.model import Common
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import format_time
from acme_manager.domain.renewal_state import RenewalState, Suggestion
from acme_manager.domain.token import Scope, Token
from acme_manager.ring.alone import Alone
from acme_manager.services.counters import Counters
from acme_manager.services.inventory import Inventory
from acme_manager.services.plans import Plans
from acme_manager.services.progress import Progress
from acme_manager.services.reports import Reports
from acme_manager.services.state import State
from tests.unit.services.world import NOW, FixedClock, settings_with

Samples = dict[str, list[tuple[dict[str, str], float]]]

ID = {"issuer": "le", "owner": "alice", "domain": "example.com", "name": ""}


def certificate(**changes: Any) -> Certificate:
    """Ninety days of life, two thirds of which are over in ten days."""
    facts = {
        "domain": "example.com",
        "issuer": "le",
        "owner": "alice",
        "serial": "0a",
        "encryption": "ECDSA-256",
        "expires": format_time(NOW + timedelta(days=40)),
        "renewal_date": format_time(NOW + timedelta(days=10)),
    }
    return Certificate(**{**facts, **changes})


@attrs.frozen
class Shelf:
    state: State
    counters: Counters
    inventory: Inventory
    reports: Reports

    def keep(self, *certificates: Certificate) -> None:
        for one in certificates:
            self.state.certificates.put(one.id.key, one)

    async def read(self) -> Samples:
        text = b"".join(await self.inventory.render(openmetrics=False)).decode()
        found: Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name.removeprefix("acme_manager_"), []).append((sample.labels, sample.value))
        return found


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    cluster, clock = Alone(), FixedClock()
    state = State(cluster)
    counters = Counters(cluster, state, Progress(), clock)
    plans = Plans(state, settings_with(Common()), clock)
    reports = Reports(cluster, clock)
    with state.following(), reports.following():
        yield Shelf(state, counters, Inventory(state, counters, plans, reports, clock), reports)


async def test_a_certificate_has_all_its_series_from_the_start(shelf: Shelf) -> None:
    shelf.keep(certificate(renewal_count=3, labels="env=prod"))
    found = await shelf.read()
    assert found["certificate_total"] == found["managed_certificates"] == [(ID, 1)]
    assert found["certificate_created"] == found["certificate_revoke"] == found["certificate_renewed"] == [(ID, 0)]
    assert found["certificate_renewals"] == [(ID, 3)]
    facts = {"expires": "2027-01-03 12:00:00 +0000 UTC", "encryption": "ECDSA-256", "serial": "0a", "env": "prod"}
    assert found["certificate_expiry"] == [({**ID, **facts}, 40)]


async def test_days_are_fractions_and_go_below_zero(shelf: Shelf) -> None:
    shelf.keep(
        certificate(name="short", expires=format_time(NOW + timedelta(hours=160))),
        certificate(name="dead", expires=format_time(NOW - timedelta(hours=12))),
        certificate(name="foreign", expires="soon"),
        certificate(name="zero", expires="0001-01-01 00:00:00 +0000 UTC"),
    )
    days = {labels["name"]: value for labels, value in (await shelf.read())["certificate_expiry"]}
    assert days.pop("zero") < -700_000
    assert days == {"short": 6.66667, "dead": -0.5}


@pytest.mark.parametrize(
    ("renewal_in", "expires_in", "share"), [(1, 31, 0), (-10, 20, 0.33333), (-30, 10, 0.75), (-40, -1, 1)]
)
async def test_how_much_of_the_time_for_retries_is_used_up(
    shelf: Shelf, renewal_in: int, expires_in: int, share: float
) -> None:
    at = {"renewal_date": renewal_in, "expires": expires_in}
    shelf.keep(certificate(**{name: format_time(NOW + timedelta(days=days)) for name, days in at.items()}))
    assert (await shelf.read())["certificate_renewal_overdue_ratio"] == [(ID, share)]


async def test_a_renewal_that_fails_says_why_and_stays_due(shelf: Shelf) -> None:
    past = format_time(NOW - timedelta(days=20))
    shelf.keep(certificate(renewal_date=past, fingerprint="f"), certificate(name="old", fingerprint="g"))
    later = NOW + timedelta(days=1)
    state = RenewalState(leaf="f", failures=3, cause="dns", retry_at=later)
    for key in ("alice/le/example.com", "alice/old"):  # what is known of `old` is about the certificate before it
        shelf.state.renewals.put(key, state)
    found = await shelf.read()
    assert found["certificate_renewal_failures"] == [({**ID, "cause": "dns"}, 3)]
    assert ({**ID, "operation": "renew", "status": "error"}, 3) in found["certificate_operations_total"]
    assert (ID, 0.33333) in found["certificate_renewal_overdue_ratio"]
    shelf.state.renewals.remove("alice/le/example.com")
    assert "certificate_renewal_failures" not in await shelf.read()


async def test_a_ca_that_wants_a_renewal_earlier_makes_it_due_earlier(shelf: Shelf) -> None:
    shelf.keep(certificate())
    await shelf.read()
    window = Suggestion(start=NOW - timedelta(days=10), end=NOW - timedelta(days=9))
    shelf.state.renewals.put("alice/le/example.com", RenewalState(ari=window))
    ((_, share),) = (await shelf.read())["certificate_renewal_overdue_ratio"]
    assert 9 / 49 <= share <= 10 / 50


async def test_a_node_tells_its_time_and_whether_its_figures_are_complete(shelf: Shelf) -> None:
    found = await shelf.read()
    assert (found["node_time_seconds"], found["state_loaded"]) == ([({}, NOW.timestamp())], [({}, 0)])
    shelf.state.loaded.set()
    assert (await shelf.read())["state_loaded"] == [({}, 1)]


async def test_what_happened_is_counted_and_outlives_the_certificate(
    shelf: Shelf, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    shelf.keep(certificate())
    nursery.start_soon(shelf.counters.run)
    for event in ("created", "renewed", "renewed", "revoked"):
        shelf.counters.add(event, certificate().id)
    await trio.sleep(5)
    shelf.state.certificates.remove(certificate().id.key)
    found = await shelf.read()
    assert "certificate_total" not in found
    assert found["certificate_created"] == found["certificate_revoke"] == [(ID, 1)]
    assert found["certificate_renewed"] == [(ID, 2)]
    assert found["certificate_operations_total"] == [
        ({**ID, "operation": "create", "status": "success"}, 3),
        ({**ID, "operation": "revoke", "status": "success"}, 1),
    ]


async def test_a_change_of_the_record_shows_at_the_next_scrape(shelf: Shelf) -> None:
    shelf.keep(certificate())
    await shelf.read()
    shelf.keep(certificate(serial="0b", expires=format_time(NOW + timedelta(days=90))))
    ((labels, value),) = (await shelf.read())["certificate_expiry"]
    assert (labels["serial"], value) == ("0b", 90)


async def test_records_that_contradict_their_keys_do_not_break_the_scrape(shelf: Shelf) -> None:
    shelf.state.certificates.put("alice/le/example.com", certificate())
    shelf.state.certificates.put("alice/le/other.example", certificate(serial="0b"))
    shelf.keep(certificate(domain='a"} 1\nx 1', labels="a=\ud800"))
    shelf.keep(certificate(owner="o" * 300 + "1"), certificate(owner="o" * 300 + "2"))
    found = await shelf.read()
    for name in ("certificate_total", "certificate_created"):
        assert {(labels["owner"][:5], labels["domain"]) for labels, _ in found[name]} == {
            ("alice", 'a"} 1\nx 1'),
            ("alice", "example.com"),
            ("ooooo", "example.com"),
        }
        assert len(found[name]) == 3


async def test_tokens_show_who_may_do_what_until_when_but_no_secret(shelf: Shelf) -> None:
    until = format_time(NOW + timedelta(days=2))
    for id, expires in (("t1", until), ("t2", "Never"), ("t3", "unreadable")):
        shelf.state.tokens.put(
            id, Token(id=id, token_hash="h" * 64, username="bob", scope=(Scope.READ, Scope.CREATE), expires=expires)
        )
    facts = {"username": "bob", "scope": "read,create"}
    assert (await shelf.read())["token_expiry"] == [
        ({"id": "t1", "expires": until, **facts}, 2),
        ({"id": "t2", "expires": "Never", **facts}, float("inf")),
    ]
    assert b"hhh" not in b"".join(await shelf.inventory.render(openmetrics=True))


async def test_certificates_may_come_and_go_during_a_scrape_and_others_run(shelf: Shelf, nursery: trio.Nursery) -> None:
    shelf.keep(*(certificate(name=f"c{number}") for number in range(2000)))
    turns = 0

    async def meddle() -> None:
        nonlocal turns
        for number in range(2000):
            shelf.state.certificates.remove(f"alice/c{number}")
            turns += 1
            await trio.lowlevel.checkpoint()

    nursery.start_soon(meddle)
    found = await shelf.read()
    assert len(found["certificate_total"]) == len(found["certificate_created"]) > 1900
    assert turns > 20
