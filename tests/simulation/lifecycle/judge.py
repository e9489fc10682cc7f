"""What is promised of a year, held against what has happened in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta

from tests.simulation.lifecycle.book import Renewal
from tests.simulation.lifecycle.fleet import DAY, HOUR
from tests.simulation.lifecycle.year import Outcome

BINS = 10
_CHI_SQUARE = 27.88  # with 9 degrees of freedom, exceeded by chance once in a thousand times
_UNTIL_ASKED = 1.1 * DAY  # after a CA has moved a window: it is asked once a day, and a little later for the spread
_EXPECTED_ALARMS = {"renewal fails until somebody acts"}


def complaints(outcome: Outcome) -> list[str]:
    """Every promise that was not kept, in words."""
    return [
        *(f"expired: {life.member.params.domain}" for life in outcome.expired),
        *(f"refused by a CA: {refusal}" for refusal in outcome.refusals),
        *(f"revoked in service: {min(leaf.names)}" for leaf in outcome.book.revoked_in_service),
        *outcome.lost,
        *_outside_of_windows(outcome.book.renewals),
        *_more_or_less_than_there_should_be(outcome),
        *_unevenly_spread(outcome.book.renewals),
        *(f"log: {line} ({times} times)" for line, times in outcome.alarms.items() if line not in _EXPECTED_ALARMS),
        *([f"{outcome.failed_rounds:.0f} rounds failed"] if outcome.failed_rounds else []),
    ]


def _outside_of_windows(renewals: Iterable[Renewal]) -> Iterable[str]:
    """Nothing is renewed before its window, and so nothing twice in one; nothing is first tried after it."""
    for one in renewals:
        name = f"{one.member.params.domain} at {one.tried:%Y-%m-%d %H:%M}"
        patience = _UNTIL_ASKED + HOUR if one.before.moved_at else HOUR
        if one.early:
            yield f"{name}: {one.early} before its window ({one.before.rule})"
        # One that another CA has issued is a new certificate to its own, where it waits for room like any other.
        if one.late > patience and one.before.issuer == one.member.params.issuer:
            yield f"{name}: {one.late} after its window ({one.before.rule})"


def _more_or_less_than_there_should_be(outcome: Outcome) -> Iterable[str]:
    """Orders are for one certificate each, but those that fail or take too long; those of a killed node go on."""
    lives = list(outcome.book.lives.values())
    lost = outcome.book.unfetched()
    for leaf in lost:
        if not any(
            period.covers(leaf.start - HOUR / 6) or period.covers(leaf.start)
            for period in outcome.cas[leaf.issuer].slow
        ):
            yield f"issued for nobody at {leaf.start} though the CA was not slow: {min(leaf.names)}"
    vain = sum(life.orders - life.issued - life.refused for life in lives) - len(lost)
    if vain > outcome.timed_out:
        yield f"{vain} orders have come to nothing for no reason"
    renewals, expected = len(outcome.book.renewals), sum(life.expected(outcome.end) for life in lives)
    if abs(renewals - expected) > max(expected / 10, 3 * math.sqrt(expected)):
        yield f"{renewals} renewals where lifetimes and windows ask for {expected}"


def _unevenly_spread(renewals: Sequence[Renewal]) -> Iterable[str]:
    for rule, found in by_rule(renewals).items():
        counts = spread(found)
        if sum(counts) < 5 * BINS:
            continue
        if rule == "days":  # no weekends, so that some days of a window have more than others
            if max(counts) > 2 * sum(counts) / BINS:
                yield f"renewals by {rule} are not spread: {counts}"
        elif chi_square(counts) > _CHI_SQUARE:
            yield f"renewals by {rule} are not even: {counts}, chi-square {chi_square(counts):.1f}"


def by_rule(renewals: Iterable[Renewal]) -> dict[str, list[Renewal]]:
    """What was drawn from windows of some length, by what those came from, without those that CAs have moved.

    Where the instant depends on the name alone, only the first renewal of each certificate is a draw.
    """
    found: dict[str, dict[object, Renewal]] = {}
    for one in renewals:
        (start, end), rule = one.before.window, one.before.rule
        if one.before.moved_at is None and end - start > timedelta(minutes=1):
            found.setdefault(rule, {}).setdefault(one if rule == "ari" else one.member, one)
    return {rule: list(drawn.values()) for rule, drawn in found.items()}


def spread(renewals: Iterable[Renewal]) -> list[int]:
    """How many were first tried in each tenth of their window."""
    counts = [0] * BINS
    for one in renewals:
        counts[min(BINS - 1, max(0, int(one.phase * BINS)))] += 1
    return counts


def chi_square(counts: Sequence[int]) -> float:
    """How far counts are from being equal (Pearson)."""
    mean = sum(counts) / len(counts)
    return sum((count - mean) ** 2 / mean for count in counts)
