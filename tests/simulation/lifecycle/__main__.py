"""`scripts/simulate year`: live through a year of a fleet of certificates, and print its figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import attrs

from tests.bench.figures import say, table
from tests.simulation.lifecycle.fleet import DAY, LIFETIMES
from tests.simulation.lifecycle.judge import BINS, by_rule, chi_square, complaints, spread
from tests.simulation.lifecycle.year import Outcome, Plan, simulate

_SHOWN = 20


def main(arguments: Sequence[str]) -> int:
    """0: every promise was kept. 1: some were not, and they have been printed."""
    parser = argparse.ArgumentParser(prog="scripts/simulate year", description=__doc__)
    parser.add_argument("--certificates", type=int, default=5000, help="how many (5000)")
    parser.add_argument("--days", type=int, default=365, help="how long (365)")
    parser.add_argument("--seed", type=int, default=0, help="what everything is drawn from (0)")
    parser.add_argument("--ari", type=float, default=0.2, help="share of the CA with renewal windows (0.2)")
    parser.add_argument("--crowd", type=int, default=400, help="certificates for names of one domain (400)")
    given = parser.parse_args(arguments)
    plan = Plan(certificates=given.certificates, seed=given.seed, length=given.days * DAY)
    outcome = simulate(attrs.evolve(plan, share_of_ari=given.ari, crowd=given.crowd))
    say(report(outcome))
    found = complaints(outcome)
    say("\n".join([f"{len(found)} promises broken", *found[:_SHOWN]]) if found else "every promise was kept")
    return min(len(found), 1)


def report(outcome: Outcome) -> str:
    """The figures of a year."""
    book, plan = outcome.book, outcome.plan
    lives, renewals = list(book.lives.values()), book.renewals
    orders, refused = sum(life.orders for life in lives), sum(life.refused for life in lives)
    expected, doomed = sum(life.expected(outcome.end) for life in lives), sum(life.member.for_good for life in lives)
    facts = {
        "certificates": f"{len(lives)}, {doomed} of them with names that fail for good",
        "days, seed": f"{plan.length / DAY:g}, {plan.seed}",
        "CAs": f"{_hours(outcome, 'away')} h away, {_hours(outcome, 'slow')} h slow",
        "changes of leader": f"{outcome.handovers}, {outcome.kills} of them kills, amid {outcome.killed_orders} orders",
        "issued for": ", ".join(f"{reason} {times}" for reason, times in outcome.said.most_common()),
        "renewals": f"{len(renewals)}; lifetimes and windows ask for {expected}",
        "orders": f"{orders}: {refused} failed, {len(book.unfetched())} issued too late",
        "tries that timed out": str(outcome.timed_out),
        "questions about windows": str(sum(ca.questions for ca in outcome.cas.values())),
        "expired": str(len(outcome.expired)),
        "429 from a CA": str(len(outcome.refusals)),
        "revoked in service": str(len(book.revoked_in_service)),
        "CPU": f"{outcome.cpu:.0f} s",
    }
    return "\n\n".join([table([("what", "figure"), *facts.items()]), _calls(outcome), _spreads(outcome)])


def _hours(outcome: Outcome, what: str) -> str:
    periods = [period for ca in outcome.cas.values() for period in getattr(ca, what)]
    return f"{sum((one.end - one.start).total_seconds() for one in periods) / 3600:.0f}"


def _calls(outcome: Outcome) -> str:
    """The closest calls, by lifetime, of those whose trouble ends."""
    rows = [("lifetime", "renewals", "least left of the life", "median")]
    for name, lifetime in LIFETIMES.items():
        left = sorted(
            one.left for one in outcome.book.renewals if one.before.lifetime == lifetime and not one.member.for_good
        )
        if left:
            rows.append((name, str(len(left)), f"{left[0]:.1%}", f"{left[len(left) // 2]:.1%}"))
    return table(rows)


def _spreads(outcome: Outcome) -> str:
    """How many were drawn for each tenth of their windows."""
    rows = [("window from", *(str(tenth + 1) for tenth in range(BINS)), "chi-square")]
    for rule, found in sorted(by_rule(outcome.book.renewals).items()):
        counts = spread(found)
        rows.append((rule, *map(str, counts), f"{chi_square(counts):.1f}"))
    return table(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
