"""What holds of every planned renewal, whatever the CA, the failures and the calendar say."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.calendar import Calendar
from acme_manager.domain.causes import backoff
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import format_time, milliseconds
from acme_manager.domain.planning import Policy, life_of, plan
from acme_manager.domain.renewal_state import (
    RenewalState,
    Suggestion,
    renewal_state_from_json,
    renewal_state_to_json,
)
from tests.laws.strategies import calendars, instants

_SECOND = timedelta(seconds=1)


@st.composite
def certificates(draw: st.DrawFn) -> Certificate:
    start, life = draw(instants), draw(st.timedeltas(timedelta(hours=1), timedelta(days=400)))
    dates = ["", "2026-11-24 12:00:00.0 +0000 UTC m=+0.001 garbage", format_time(start + life * draw(st.floats(0, 1)))]
    return Certificate(
        owner="o",
        issuer="i",
        domain=draw(st.sampled_from(("a.example", "b.example", "c.example"))),
        fingerprint="f",
        issued_at=milliseconds(start),
        expires=format_time(start + life),
        renewal_days=draw(st.sampled_from(("", "20-30", "7", "0-1", "nonsense"))),
        renewal_date=draw(st.sampled_from(dates)),
    )


@st.composite
def states(draw: st.DrawFn, certificate: Certificate) -> RenewalState:
    life = life_of(certificate)
    assert life is not None
    at = life.start + life.length * draw(st.floats(-0.1, 1.2))
    ari = Suggestion(
        start=at, end=at + draw(st.timedeltas(_SECOND, timedelta(days=9))), explanation="https://ca.test/why"
    )
    return RenewalState(leaf=draw(st.sampled_from(("f", "f", "another"))), ari=draw(st.sampled_from((None, ari))))


@given(st.data(), certificates(), calendars, st.floats(-0.1, 1.2))
def test_a_plan_is_never_too_late_and_in_a_welcome_time_unless_it_says_so(
    data: st.DataObject, certificate: Certificate, calendar: Calendar, share: float
) -> None:
    state, life = data.draw(states(certificate)), life_of(certificate)
    assert life is not None
    now = life.start + life.length * share
    policy = Policy(window="20-30", calendar=calendar)
    planned = plan(certificate, state, policy, now)
    assert planned is not None
    assert planned == plan(certificate, state, policy, now)
    assert planned.due <= life.last_moment
    at = max(planned.due, now)
    assert calendar.against(at) is None or planned.code == "overridden"
    if planned.code == "calendar":  # put off no further than is safe, and not behind what the CA asks for
        unmoved, ari = plan(certificate, state, Policy(window="20-30"), now), state.of("f").ari
        assert unmoved is not None
        assert planned.due <= max(unmoved.due, life.safe if ari is None else min(life.safe, ari.end))
    if planned.due > now:  # it does not wander off as one waits for it; what is late may come as soon as it is welcome
        later = now + (planned.due - now) / 2
        again = plan(certificate, state, policy, later)
        assert again is not None
        same = (again.due, again.code) == (planned.due, planned.code)  # another thing may be in the way by then
        assert same or (again.due <= now and calendar.against(later) is None)


@given(st.data(), certificates())
def test_a_ca_that_wants_it_earlier_gets_it_earlier(data: st.DataObject, certificate: Certificate) -> None:
    state, life = data.draw(states(certificate)), life_of(certificate)
    assert life is not None
    without = plan(certificate, RenewalState(), Policy(window="20-30"), life.start)
    planned = plan(certificate, state, Policy(window="20-30"), life.start)
    assert planned is not None
    assert without is not None
    ari = state.of("f").ari
    if ari is None:
        assert planned == without
    else:
        assert planned.due <= max(without.due, life.backstop)
        assert planned.code in {"ari", "ari_late", "last_moment"}
        assert planned.code != "ari" or ari.start <= planned.due <= ari.end


@given(certificates(), st.text(max_size=40), instants, st.integers(0, 9), st.booleans())
def test_a_state_survives_its_way_to_the_other_nodes(
    certificate: Certificate, text: str, at: datetime, number: int, some: bool
) -> None:
    state = RenewalState(leaf=text, error=text, cause="caa", failures=number, retry_at=at if some else None, ask_at=at)
    state = attrs.evolve(state, ari=Suggestion(start=at, end=at + _SECOND, explanation=text) if some else None)
    assert renewal_state_from_json(renewal_state_to_json(state)) == state


@given(st.integers(0, 50), st.floats(-1e7, 4e7), st.one_of(st.none(), st.floats(0, 1e6)), st.text(max_size=9))
def test_a_wait_is_at_least_what_the_ca_asks_and_at_most_a_tenth_of_what_is_left(
    failures: int, left: float, retry_after: float | None, key: str
) -> None:
    wait = backoff(failures, left, retry_after, key)
    assert wait >= max(retry_after or 0, 60)
    assert wait <= max(abs(left) / 10, 3600, retry_after or 0)
    assert wait <= max(86400 * 1.2, retry_after or 0)
    assert backoff(failures + 1, left, retry_after, key) >= wait * 0.8
