from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from acme_manager.domain.attempt import Attempt, attempt_from_json
from acme_manager.domain.condition import SHOWN_FOR, Code, Facts, Remedy, Tone, urgency
from acme_manager.domain.judging import condition, failed_request
from acme_manager.domain.planning import Life, RenewalPlan
from acme_manager.domain.renewal_state import RenewalState
from acme_manager.domain.timeline import timeline

DAY = timedelta(days=1)
ISSUED = datetime(2026, 9, 1, tzinfo=UTC)
LIFE = Life(ISSUED, ISSUED + 90 * DAY)
PLAN = RenewalPlan(due=ISSUED + 65 * DAY, code="window", reason="", start=ISSUED + 60 * DAY, end=ISSUED + 70 * DAY)
EARLY, DUE, OVER = ISSUED + 30 * DAY, ISSUED + 66 * DAY, ISSUED + 71 * DAY
DNS = RenewalState(failures=2, error="no such name", cause="dns", cure="time", retry_at=OVER)
WAITS = RenewalState(waits_for="50 certificates per 7d")
HEALTHY = Facts(life=LIFE, plan=PLAN, issuer="le")


def attempt(outcome: str, began: datetime, **facts: Any) -> Attempt:
    return Attempt(outcome=outcome, began=began, **facts)


@pytest.mark.parametrize(
    ("changes", "now", "code", "tone", "remedy"),
    [
        ({}, EARLY, Code.FINE, Tone.GOOD, Remedy.NONE),
        ({}, DUE, Code.DUE, Tone.BUSY, Remedy.NONE),
        ({}, OVER, Code.LATE, Tone.BAD, Remedy.RENEW),
        ({}, LIFE.end, Code.EXPIRED, Tone.BAD, Remedy.RENEW),
        ({"renewal": DNS}, DUE, Code.FAILING, Tone.WARN, Remedy.DNS),
        ({"renewal": DNS}, OVER, Code.FAILING, Tone.BAD, Remedy.DNS),
        ({"renewal": DNS}, LIFE.end, Code.EXPIRED, Tone.BAD, Remedy.DNS),
        ({"renewal": attrs.evolve(DNS, cause="account")}, DUE, Code.FAILING, Tone.WARN, Remedy.ISSUER),
        ({"renewal": attrs.evolve(DNS, cause="of a later version")}, DUE, Code.FAILING, Tone.WARN, Remedy.RENEW),
        ({"configured": False}, EARLY, Code.NO_ISSUER, Tone.WARN, Remedy.ISSUER),
        ({"configured": False}, DUE, Code.NO_ISSUER, Tone.BAD, Remedy.ISSUER),
        ({"renewal": WAITS}, DUE, Code.WAITING, Tone.BUSY, Remedy.NONE),
        ({"renewal": WAITS}, OVER, Code.WAITING, Tone.BAD, Remedy.NONE),
        ({"plan": attrs.evolve(PLAN, code="calendar", due=OVER + DAY)}, OVER, Code.WAITING, Tone.WARN, Remedy.RENEW),
        ({"plan": attrs.evolve(PLAN, code="calendar", due=OVER + DAY)}, DUE, Code.FINE, Tone.GOOD, Remedy.NONE),
        ({"plan": None, "held": "operation 7 revokes it"}, EARLY, Code.HELD, Tone.WARN, Remedy.OPERATION),
        ({"plan": None, "held": "operation 7 revokes it"}, LIFE.safe, Code.HELD, Tone.BAD, Remedy.OPERATION),
        ({"outdated": 1}, ISSUED, Code.FINE, Tone.GOOD, Remedy.NONE),
        ({"outdated": 1}, EARLY - 5 * DAY, Code.NOT_INSTALLED, Tone.WARN, Remedy.HOSTS),
        ({"outdated": 1}, EARLY, Code.NOT_INSTALLED, Tone.BAD, Remedy.HOSTS),
        ({"outdated": 1, "not_served": 2}, EARLY, Code.NOT_SERVED, Tone.BAD, Remedy.HOSTS),
        ({"attempt": attempt("running", EARLY)}, EARLY, Code.RENEWING, Tone.BUSY, Remedy.NONE),
        ({"attempt": attempt("running", EARLY)}, EARLY + DAY, Code.REQUEST_FAILED, Tone.WARN, Remedy.CHANGE),
        ({"attempt": attempt("running", OVER)}, OVER, Code.RENEWING, Tone.BUSY, Remedy.NONE),
        ({"attempt": attempt("failed", EARLY)}, EARLY, Code.REQUEST_FAILED, Tone.WARN, Remedy.CHANGE),
        ({"attempt": attempt("failed", EARLY)}, EARLY + SHOWN_FOR, Code.FINE, Tone.GOOD, Remedy.NONE),
        ({"attempt": attempt("failed", DUE)}, DUE, Code.DUE, Tone.BUSY, Remedy.NONE),
        ({"life": None, "plan": None}, EARLY, Code.UNKNOWN, Tone.WARN, Remedy.RENEW),
        ({"life": None, "plan": None, "outdated": 1}, EARLY, Code.NOT_INSTALLED, Tone.WARN, Remedy.HOSTS),
    ],
)
def test_the_most_urgent_is_said(
    changes: dict[str, Any], now: datetime, code: Code, tone: Tone, remedy: Remedy
) -> None:
    said = condition(attrs.evolve(HEALTHY, **changes), now)
    assert (said.code, said.tone, said.remedy) == (code, tone, remedy)


def test_a_failing_renewal_says_why_what_helps_and_when_it_is_tried_again() -> None:
    said = condition(attrs.evolve(HEALTHY, renewal=DNS), DUE)
    assert said.sentence == "Its renewal fails: no such name"
    assert "zone" in said.advice
    assert (said.cause, said.cure, said.failures, said.next_try) == ("dns", "time", 2, OVER)


def test_what_has_expired_says_so_first_and_then_why() -> None:
    for changes, sentence in (
        ({"renewal": DNS}, "It has expired. Its renewal fails: no such name"),
        ({"configured": False}, "It has expired. Its issuer 'le' is not configured, so it is not renewed."),
        ({}, "It has expired."),
    ):
        assert condition(attrs.evolve(HEALTHY, **changes), LIFE.end).sentence == sentence


def test_what_fails_and_is_being_tried_again_stays_wrong() -> None:
    said = condition(attrs.evolve(HEALTHY, renewal=DNS, attempt=attempt("running", DUE)), DUE)
    assert said.code is Code.FAILING
    assert said.under_way


def test_six_days_of_life_have_the_tones_of_their_own_window() -> None:
    """A certificate with two days left is fine while its window is yet to come, and one with fifty days may be late."""
    short = Life(ISSUED, ISSUED + 6 * DAY)
    plan = attrs.evolve(PLAN, start=ISSUED + 4 * DAY, due=ISSUED + 4.5 * DAY, end=ISSUED + 5 * DAY)
    assert condition(Facts(life=short, plan=plan), ISSUED + 3.9 * DAY).tone is Tone.GOOD
    long = Life(ISSUED, ISSUED + 398 * DAY)
    plan = attrs.evolve(PLAN, start=ISSUED + 300 * DAY, due=ISSUED + 310 * DAY, end=ISSUED + 340 * DAY)
    assert condition(Facts(life=long, plan=plan), ISSUED + 348 * DAY).tone is Tone.BAD


def test_a_request_that_failed_is_news_for_a_while_and_one_that_was_cut_off_says_so() -> None:
    failed = attempt("failed", EARLY, error="the CA refuses it")
    said = failed_request(failed, EARLY + DAY)
    assert said is not None
    assert said.sentence == "The last request failed: the CA refuses it"
    assert failed_request(failed, EARLY + SHOWN_FOR) is None
    cut_off = failed_request(attempt("running", EARLY), EARLY + DAY)
    assert cut_off is not None
    assert "interrupted" in cut_off.sentence


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        ("ca_unavailable", "The CA can't be reached or has trouble: try again later."),
        ("credentials", "Correct the credentials of the DNS provider. Then try again."),
        ("internal", "Correct what it says, and try again."),
    ],
)
def test_nobody_is_told_that_a_request_is_tried_again_by_itself(cause: str, advice: str) -> None:
    said = failed_request(attempt("failed", EARLY, cause=cause), EARLY)
    assert said is not None
    assert said.advice == advice


def test_the_tone_counts_before_the_code() -> None:
    assert urgency(Tone.BAD, Code.HELD) < urgency(Tone.WARN, Code.FAILING) < urgency(Tone.WARN, Code.HELD)


def test_an_attempt_is_read_with_its_steps_and_nonsense_is_refused() -> None:
    record = {"outcome": "running", "began": "2026-11-24T12:00:00Z", "issuer": "le", "reason": "requested"}
    read = attempt_from_json(record | {"steps": [{"step": "ordered", "at": "2026-11-24T12:00:01Z"}], "records": []})
    assert read.steps == (("ordered", datetime(2026, 11, 24, 12, 0, 1, tzinfo=UTC)),)
    assert read.goes_on(read.began)
    for broken in ({}, {"outcome": "failed", "began": "soon"}, record | {"steps": [7]}, record | {"ended": 7}):
        with pytest.raises(ValueError, match="no attempt"):
            attempt_from_json(broken)


def test_a_timeline_places_everything_between_issuance_and_expiry() -> None:
    line = timeline(LIFE, PLAN, ISSUED + 45 * DAY)
    places = {name: round(place, 3) for name, place in line.places.items()}
    assert places == {"now": 0.5, "window_start": 0.667, "planned": 0.722, "window_end": 0.778}
    assert timeline(LIFE, None, LIFE.end + DAY).places == {"now": 1.0}
