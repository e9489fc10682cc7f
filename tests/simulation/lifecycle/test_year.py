from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

import attrs
import pytest

from tests.simulation.lifecycle.__main__ import main, report
from tests.simulation.lifecycle.fleet import DAY, LIFETIMES
from tests.simulation.lifecycle.judge import complaints
from tests.simulation.lifecycle.year import Plan, simulate

# Less than `scripts/simulate year`, for the sake of time: 400 certificates for 5000, and fewer of the CA with windows,
# since a question a day about each of those costs more than all of its renewals.
A_YEAR = Plan(certificates=400, seed=1, share_of_ari=0.15, crowd=80)
A_SEASON = Plan(certificates=80, seed=2, length=60 * DAY, crowd=10)


def test_a_year_passes_without_an_expired_certificate_or_a_refusal() -> None:
    outcome = simulate(A_YEAR)
    assert complaints(outcome) == []
    # It was not an easy one.
    assert {one.before.lifetime for one in outcome.book.renewals} == set(LIFETIMES.values())
    assert outcome.handovers >= 45
    assert outcome.killed_orders >= 10
    assert outcome.said["retry"] >= 5
    assert outcome.said["ari"] > 500
    assert any(one.before.moved_at for one in outcome.book.renewals)
    assert any(
        life.member.for_good and life.leaf and life.leaf.end < outcome.end for life in outcome.book.lives.values()
    )
    assert sum(one.refusals for one in outcome.book.renewals) > 20


async def _nothing(*_: object) -> list[object]:
    return []


BROKEN: Mapping[str, tuple[str, Any, Mapping[str, Any], str]] = {
    "limits are not obeyed": (
        "services.budgets.Budgets.admit",
        lambda *_, **__: None,
        {"crowd": 75},
        "refused by a CA: too many certificates",
    ),
    "the windows of a CA do not count": (
        "domain.planning._suggested",
        lambda planned, *_: planned,
        {"share_of_ari": 1},
        "its window (ari)",
    ),
    "all draw the same instant": (
        "domain.planning.spread",
        lambda _key: 0.0,
        {"share_of_ari": 1, "certificates": 150},
        "renewals by ari are not even",
    ),
    "what failed is left alone": ("services.renewals.backoff", lambda *_: 1e7, {}, "expired"),
    "a new leader does not read the journal": (
        "services.issuing.Issuing.read_journal",
        _nothing,
        {},
        "a challenge is left",
    ),
}


@pytest.mark.parametrize(("broken", "instead", "changes", "complaint"), BROKEN.values(), ids=BROKEN)
def test_the_simulation_notices_when(broken: str, instead: Any, changes: Mapping[str, Any], complaint: str) -> None:
    with mock.patch(f"acme_manager.{broken}", instead):
        found = complaints(simulate(attrs.evolve(A_SEASON, **changes)))
    assert any(complaint in one for one in found), found


def test_a_seed_gives_the_same_year_again() -> None:
    plan = attrs.evolve(A_SEASON, certificates=30, length=30 * DAY)
    first, second = simulate(plan), simulate(plan)
    second.cpu = first.cpu
    assert report(first) == report(second)
    assert [one.done for one in first.book.renewals] == [one.done for one in second.book.renewals]


def test_the_command_prints_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--certificates", "30", "--days", "30", "--crowd", "5"]) == 0
    said = capsys.readouterr().out
    assert "429 from a CA" in said
    assert "every promise was kept" in said
