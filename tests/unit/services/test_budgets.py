from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from acme_manager.config.model import Common, Config, IssuerConfig, VaultConfig
from acme_manager.domain.budget import PRESETS, Exempt, Limit, Limits
from acme_manager.domain.names import Identifier, parse_identifier
from acme_manager.errors import (
    BudgetSpent,
    IssuanceFailed,
    IssuerRateLimited,
    IssuerUnavailable,
    NotLeader,
    Problem,
)
from acme_manager.ring.alone import Alone
from acme_manager.services import budgets as module
from acme_manager.services.budgets import Budgets
from acme_manager.services.settings import Settings

HOUR, DAY, LAG = 3600.0, 86400.0, 300.0
VAULT = VaultConfig(
    url="https://vault.example", role_id="r", secret_id="s", secret_engine="secret", certificate_prefix="certificates"
)


@attrs.define
class Hands:
    """A clock that a test sets."""

    at: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@attrs.define
class Node:
    budgets: Budgets
    shared: Alone
    clock: Hands
    settings: Settings

    def wait(self, *names: str, renewal: bool = False, ari: bool = False, urgent: bool = False) -> tuple[float, str]:
        return self.budgets.wait("le", ids(*names), renewal=renewal, ari=ari, urgent=urgent)

    def order(self, *names: str, renewal: bool = False, ari: bool = False) -> None:
        self.budgets.admit("le", ids(*names), renewal=renewal, ari=ari)

    def orders(self, number: int, *names: str, renewal: bool = False) -> None:
        """So many in a row, each as soon as there is room."""
        for _ in range(number):
            self.clock.forward(self.wait(*names, renewal=renewal)[0])
            self.order(*names, renewal=renewal)

    def refused(self, *names: str, error: IssuanceFailed) -> None:
        self.budgets.refused("le", ids(*names), error)


def ids(*names: str) -> tuple[Identifier, ...]:
    return tuple(parse_identifier(name) for name in names)


def settings(limits: Limits) -> Settings:
    issuer = IssuerConfig(name="le", ca_dir_url="https://ca.example/dir", limits=limits)
    return Settings(Config(common=Common(), issuers={"le": issuer}, vault=VAULT))


@contextmanager
def open_node(limits: Limits = PRESETS["letsencrypt"], shared: Alone | None = None) -> Iterator[Node]:
    node = Node(None, shared or Alone(), Hands(), settings(limits))  # type: ignore[arg-type]
    node.budgets = Budgets(node.settings, node.shared, node.clock)
    with node.budgets.following():
        yield node


@pytest.fixture
def node() -> Iterator[Node]:
    with open_node() as opened:
        yield opened


def limited(detail: str, retry_after: float | None = None, **problem: object) -> IssuerRateLimited:
    told = Problem("urn:ietf:params:acme:error:rateLimited", detail, 429, **problem)  # type: ignore[arg-type]
    return IssuerRateLimited(detail, told, retry_after)


def failed(code: str, identifier: str = "", *more: Problem) -> IssuanceFailed:
    return IssuanceFailed("failed", Problem(f"urn:ietf:params:acme:error:{code}", "", 403, identifier, more))


def test_the_fifth_certificate_with_the_same_names_waits_for_the_lag_and_the_sixth_for_more_than_a_day(
    node: Node,
) -> None:
    for _ in range(4):
        assert node.wait("a.example", "b.example") == (0.0, "")
        node.order("a.example", "b.example")
    limit = "5 certificates per 7d for exactly these names (a.example and 1 more)"
    assert node.wait("b.example", "a.example") == (LAG, limit)
    node.clock.forward(LAG)
    node.order("b.example", "a.example")
    assert node.wait("a.example", "b.example")[0] == 7 * DAY / 5
    assert node.wait("a.example") == (0.0, "")


def test_a_registered_domain_has_a_budget_of_its_own(node: Node) -> None:
    for number in range(49):
        node.order(f"{number}.shop.example.co.uk")
    assert node.wait("www.example.co.uk") == (LAG, "50 certificates per 7d for names of example.co.uk")
    assert node.wait("www.other.co.uk") == (0.0, "")
    with pytest.raises(BudgetSpent, match=r"issuer 'le'.*50 certificates per 7d for names of example\.co\.uk.*our bud"):
        node.order("a.example.co.uk", "b.other.co.uk")


@pytest.mark.parametrize(("one", "other"), [("2001:db8::1", "2001:db8::ffff"), ("192.0.2.1", "192.0.2.1")])
def test_addresses_are_counted_like_domains(one: str, other: str) -> None:
    with open_node(Limits(preset="none", certificates_per_domain=Limit(1, HOUR))) as node:
        node.order(one)
        assert node.wait(other)[0] == HOUR + HOUR / 20
        assert node.wait("2001:db8:0:1::1", "192.0.2.2") == (0.0, "")


def test_renewals_are_exempt_from_what_the_ca_exempts_them_from() -> None:
    figures = Limits(
        preset="none",
        new_orders=Limit(1, HOUR),
        certificates_per_domain=Limit(1, DAY),
        failed_authorizations=Limit(1, 60),
    )
    for exempt, waits in {Exempt.ALL: (0, 0, 63), Exempt.ARI: (1, 0, 63), Exempt.NONE: (1, 1, 63)}.items():
        with open_node(attrs.evolve(figures, renewals_exempt=exempt)) as node:
            node.order("a.example")
            plain, ari, failures = waits
            assert bool(node.wait("a.example", renewal=True)[0]) == bool(plain)
            assert bool(node.wait("a.example", renewal=True, ari=True)[0]) == bool(ari)
            node.clock.forward(2 * DAY)
            node.refused("a.example", error=failed("dns", "a.example"))
            assert node.wait("a.example", renewal=True)[0] == failures
            assert bool(node.wait("a.example", renewal=True, ari=True)[0]) == bool(exempt is Exempt.NONE)


def test_certificates_that_the_ca_does_not_hold_back_count_for_the_set_of_their_names(node: Node) -> None:
    for _ in range(6):
        node.order("a.example", renewal=True, ari=True)
    assert node.wait("a.example", renewal=True, ari=True) == (0.0, "")
    assert "exactly these names" in node.wait("a.example", renewal=True)[1]


def test_the_last_tenth_of_the_orders_is_for_people_and_for_what_is_urgent() -> None:
    with open_node(Limits(preset="none", new_orders=Limit(100, 100 * HOUR))) as node:
        for number in range(89):
            node.order(f"{number}.example")
        assert node.wait("a.example", renewal=True) == (LAG, "100 new orders per 100h of our account")
        node.clock.forward(LAG)
        node.order("a.example", renewal=True)
        assert node.wait("b.example", renewal=True)[0] == HOUR
        assert node.wait("b.example", renewal=True, urgent=True) == (0.0, "")
        assert node.wait("b.example") == (0.0, "")


def test_failed_validations_count_for_the_names_that_failed(node: Node) -> None:
    names = ("a.example.com", "*.b.example.com", "c.example.com")
    for _ in range(5):
        node.refused(
            *names,
            error=failed(
                "compound",
                "",
                Problem("urn:ietf:params:acme:error:dns", "", 400, "a.example.com"),
                Problem("urn:ietf:params:acme:error:unauthorized", "", 403, "b.example.com"),
                Problem("urn:ietf:params:acme:error:rejectedIdentifier", "", 403, "c.example.com"),
            ),
        )
    lag = HOUR / 20
    assert node.wait("a.example.com") == (lag + HOUR / 5, "5 failed validations per 1h of a.example.com")
    assert node.wait("*.b.example.com")[0] == lag + HOUR / 5
    assert node.wait("c.example.com") == (0.0, "")


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (failed("connection"), True),
        (failed("dns", "a.example"), True),
        (failed("unauthorized"), False),  # the account, for all we know
        (failed("dns", "elsewhere.example"), False),
        (failed("badCSR"), False),
        (IssuanceFailed("ours"), False),
        (IssuerUnavailable("away"), False),
        (BudgetSpent("ours", retry_after=60.0), False),
    ],
)
def test_only_what_a_ca_has_found_out_about_a_name_counts(error: IssuanceFailed, counts: bool) -> None:
    with open_node(Limits(preset="none", failed_authorizations=Limit(1, HOUR))) as node:
        node.refused("a.example", error=error)
        assert bool(node.wait("a.example")[0]) == counts


def test_a_success_ends_a_row_of_failures_and_no_other_budget() -> None:
    limits = Limits(preset="none", consecutive_failures=Limit(2, 2 * DAY), failed_authorizations=Limit(2, HOUR))
    with open_node(limits) as node:
        for _ in range(2):
            node.refused("a.example", error=failed("dns", "a.example"))
        assert node.wait("a.example") == (DAY + LAG, "2 failed validations in a row per 2d of a.example")
        node.budgets.issued("le", ids("a.example", "b.example"))
        seconds, reason = node.wait("a.example")
        assert (seconds, reason) == (HOUR / 2 + HOUR / 20, "2 failed validations per 1h of a.example")


@pytest.mark.parametrize(
    ("detail", "problem", "stopped", "goes_on"),
    [
        ("too many new orders (300) from this account in the last 3h0m0s", {}, ["z.example"], []),
        ("slow down", {}, ["z.example"], []),
        (
            'too many certificates (50) already issued for "example.com" in the last 168h0m0s, retry after 2026-11-25',
            {},
            ["z.example.com", "a.example.com,a.example.org"],
            ["a.example.org", "z.example"],
        ),
        (
            "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s",
            {},
            ["a.example.com,a.example.org"],
            ["a.example.com", "z.example"],
        ),
        (
            'too many failed authorizations (5) for "a.example.com" in the last 1h0m0s: see https://a.example.org/x',
            {},
            ["a.example.com"],
            ["b.example.com", "a.example.org"],
        ),
        (
            "Your account is temporarily prevented from requesting certificates for a.example.org.",
            {},
            ["a.example.org", "*.a.example.org"],
            ["a.example.com"],
        ),
        ("busy", {"identifier": "a.example.com"}, ["a.example.com"], ["b.example.com", "a.example.org"]),
    ],
)
def test_the_cas_own_word_counts_for_what_it_is_about(
    node: Node, detail: str, problem: dict[str, object], stopped: list[str], goes_on: list[str]
) -> None:
    node.refused("a.example.com", "a.example.org", error=limited(detail, 1234.5, **problem))
    for names in stopped:
        seconds, reason = node.wait(*names.split(","))
        assert (seconds, "the CA told us to wait" in reason) == (1234.5, True)
    for names in goes_on:
        assert node.wait(*names.split(",")) == (0.0, "")
    node.clock.forward(1234.5)
    assert node.wait(*stopped[0].split(",")) == (0.0, "")


def test_a_word_about_all_orders_counts_for_exempt_renewals_and_without_any_limit_of_ours() -> None:
    with open_node(PRESETS["none"]) as node:
        node.refused("a.example", error=limited("slow down", 60.0))
        assert node.wait("b.example", renewal=True, ari=True)[0] == 60.0


@pytest.mark.parametrize(("said", "believed"), [(None, 900.0), (10.0**9, 7 * DAY)])
def test_a_word_without_a_time_or_with_an_impossible_one_has_an_end(
    node: Node, said: float | None, believed: float
) -> None:
    node.refused("a.example", error=limited("slow down", said))
    assert node.wait("a.example")[0] == believed


def test_the_next_leader_goes_on_with_the_same_budgets(node: Node) -> None:
    node.orders(5, "a.example")
    node.refused("b.example", error=limited("busy", 60.0, identifier="b.example"))
    with open_node(shared=node.shared) as next_leader:
        next_leader.clock.at = node.clock.at
        assert next_leader.wait("a.example") == node.wait("a.example") != (0.0, "")
        assert next_leader.wait("b.example") == node.wait("b.example") != (0.0, "")


def test_who_does_not_lead_can_not_spend_but_reports_what_the_ca_said_without_another_error(node: Node) -> None:
    node.shared.leading = False
    with pytest.raises(NotLeader):
        node.order("a.example")
    node.refused("a.example", error=limited("slow down", 60.0))
    node.budgets.issued("le", ids("a.example"))
    assert node.wait("a.example") == (0.0, "")


def test_entries_go_once_they_say_nothing_any_more(node: Node) -> None:
    node.order("a.example")
    node.refused("a.example", error=limited("busy", 60.0))
    assert len(list(node.shared.items("budget/le/"))) == 4
    node.clock.forward(7 * DAY / 5 + LAG)
    node.order("b.example")
    assert {key.partition("/le/")[2].rpartition(" #")[0] or key for key, _ in node.shared.items("budget/")} == {
        "budget/le/new_orders/",
        "budget/le/certificates_per_domain/b.example",
        "certificates_per_set/b.example",
    }
    assert len(node.budgets.ledger("le")) == 3


def test_entries_of_an_issuer_that_is_configured_no_more_go(node: Node) -> None:
    node.order("a.example")
    other = attrs.evolve(node.settings.config.issuers["le"], name="other")
    node.settings.config = attrs.evolve(node.settings.config, issuers={"other": other})
    assert node.wait("a.example") == (0.0, "")
    node.clock.forward(60)
    node.budgets.spend("other", ids("a.example"), renewal=False, ari=False)
    assert list(node.shared.items("budget/le/")) == []


def test_what_says_least_goes_when_there_is_too_much(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 10)
    node.orders(3, "first.example")
    for number in range(20):
        node.order(f"{number}.example", renewal=True)
    node.clock.forward(60)
    node.order("last.example", renewal=True)
    assert len(node.budgets.ledger("le")) == 11
    assert any("certificates_per_set/first.example" in key for key in node.budgets.ledger("le"))


@pytest.mark.parametrize("value", [b"tomorrow", b"\xff", b"9999-12-31T23:59:59", b"2027-11-24T12:00:00"])
def test_an_entry_that_nobody_can_read_or_believe_stops_nobody_for_long(node: Node, value: bytes) -> None:
    node.shared.put("budget/le/new_orders/", value)
    assert node.wait("a.example")[0] <= 36 + LAG
