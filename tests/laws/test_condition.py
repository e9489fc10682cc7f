"""What holds of every condition and of every timeline, whatever there is to know of a certificate."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.attempt import Attempt
from acme_manager.domain.condition import CODES, TONES, Code, Facts, urgency
from acme_manager.domain.judging import condition
from acme_manager.domain.planning import Life, RenewalPlan
from acme_manager.domain.renewal_state import RenewalState
from acme_manager.domain.timeline import timeline
from tests.laws.strategies import instants

_moments = st.floats(-0.2, 1.3)


@st.composite
def facts(draw: st.DrawFn) -> tuple[Facts, datetime]:
    """Facts, and an instant somewhere about the life that they are of."""
    start, length = draw(instants), draw(st.timedeltas(timedelta(minutes=1), timedelta(days=400)))

    def moment() -> datetime:
        return start + length * draw(_moments)

    first, last = sorted((moment(), moment()))
    plan = RenewalPlan(
        due=moment(),
        code=draw(st.sampled_from(("window", "calendar", "retry", "forced"))),
        reason="",
        start=first,
        end=last,
    )
    outcome = draw(st.sampled_from(("running", "failed", "interrupted")))
    known = Facts(
        life=draw(st.sampled_from((None, Life(start, start + length)))),
        plan=draw(st.sampled_from((None, plan))),
        renewal=RenewalState(
            error=draw(st.sampled_from(("", "why"))),
            failures=draw(st.integers(0, 2)),
            cause=draw(st.sampled_from(("", "dns", "account"))),
            waits_for=draw(st.sampled_from(("", "a limit"))),
        ),
        configured=draw(st.booleans()),
        held=draw(st.sampled_from(("", "operation 1"))),
        outdated=draw(st.integers(0, 2)),
        not_served=draw(st.integers(0, 2)),
        attempt=draw(st.sampled_from((None, Attempt(outcome=outcome, began=moment())))),
    )
    return known, moment()


@given(facts(), st.floats(0, 1, exclude_max=True))
def test_a_condition_stays_the_same_until_the_instant_that_it_names(
    known: tuple[Facts, datetime], share: float
) -> None:
    all_known, now = known
    said = condition(all_known, now)
    assert said.until is None or said.until > now
    later = now + ((said.until or now + timedelta(days=4000)) - now) * share
    if said.until is None or later < said.until:
        assert condition(all_known, later) == said


@given(facts())
def test_what_is_wrong_says_so_and_what_helps_or_that_nothing_does(known: tuple[Facts, datetime]) -> None:
    said = condition(*known)
    assert said.sentence
    assert (said.code is Code.EXPIRED) == (known[0].life is not None and known[0].life.end <= known[1])
    assert said.code is not Code.FINE or not said.tone.wrong


def test_urgency_is_a_total_order_in_which_the_tone_counts_first() -> None:
    ranked = [urgency(tone, code) for tone, code in product(TONES, CODES)]
    assert all(one < other for one, other in pairwise(ranked))


@given(facts())
def test_places_on_a_timeline_lie_between_0_and_1_and_keep_the_order_of_their_instants(
    known: tuple[Facts, datetime],
) -> None:
    all_known, now = known
    if all_known.life is None:
        return
    line = timeline(all_known.life, all_known.plan, now)
    assert all(0 <= place <= 1 for place in line.places.values())
    at = {"now": line.now}
    if line.window is not None and line.planned is not None:
        at |= {"window_start": line.window[0], "window_end": line.window[1], "planned": line.planned}
    for one, other in product(at, at):
        assert at[one] > at[other] or line.places[one] <= line.places[other]
