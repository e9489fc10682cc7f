from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from acme_manager.domain.calendar import Calendar, parse_calendar
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import format_time, milliseconds, parse_time
from acme_manager.domain.planning import Policy, RenewalPlan, plan
from acme_manager.domain.renewal import draw, parse_window
from acme_manager.domain.renewal_state import RenewalState, Suggestion

START = datetime(2026, 11, 2, 12, tzinfo=UTC)  # a Monday
NOTHING = RenewalState()
POLICY = Policy(window="20-30")


def made(days: float, **changes: object) -> Certificate:
    """A certificate of ours, issued at START."""
    end = START + timedelta(days=days)
    certificate = Certificate(
        owner="o",
        issuer="ca",
        domain="a.example",
        fingerprint="f",
        issued_at=milliseconds(START),
        expires=format_time(end),
    )
    certificate = attrs.evolve(certificate, **changes)  # type: ignore[arg-type]
    if certificate.renewal_date:
        return certificate
    due = draw(START, end, parse_window(certificate.renewal_days or "20-30"), certificate.id.key).at
    return attrs.evolve(certificate, renewal_date=format_time(due))


def planned(
    certificate: Certificate, state: RenewalState = NOTHING, policy: Policy = POLICY, now: datetime = START
) -> RenewalPlan:
    found = plan(certificate, attrs.evolve(state, leaf="f"), policy, now)
    assert found is not None
    return found


def frozen(*freezes: str, windows: tuple[str, ...] = ()) -> Policy:
    calendar: Calendar = parse_calendar(windows, freezes, "UTC")
    return Policy(window="20-30", calendar=calendar)


def window_of(first: float, last: float, **more: str) -> RenewalState:
    """A CA's window, in days after START."""
    ari = Suggestion(start=START + timedelta(days=first), end=START + timedelta(days=last), **more)
    return RenewalState(ari=ari)


@pytest.mark.parametrize(
    ("certificate", "code", "reason"),
    [
        (made(90), "window", "20-30 days before expiry"),
        (made(6), "share", "last half of its life: renewal_days '20-30' does not fit a life of 6 days"),
        (made(160 / 24), "share", "last half of its life: renewal_days '20-30' does not fit a life of 6.7 days"),
        (made(0.5), "share", "last half of its life: renewal_days '20-30' does not fit a life of 12 hours"),
        (made(1 / 24), "share", "last half of its life: renewal_days '20-30' does not fit a life of 60 minutes"),
        (
            made(25, renewal_days="30"),
            "share",
            "last third of its life: renewal_days '30' does not fit a life of 25 days",
        ),
        (made(90, renewal_date="2026-11-09 12:00:00 +0000 UTC"), "stored", "the renewal_date of its record"),
        (
            made(90, renewal_days="nonsense", renewal_date="x"),
            "window",
            "20-30 days before expiry; its renewal_date can't",
        ),
        (
            made(90, renewal_days="0-1"),
            "last_moment",
            "0-1 days before expiry; but not later than 2027-01-30 12:00 UTC",
        ),
    ],
)
def test_a_plan_says_why_by_itself(certificate: Certificate, code: str, reason: str) -> None:
    found = planned(certificate)
    assert found.reason.startswith(reason)
    assert found.code == code


def test_a_plan_says_that_a_weekend_was_avoided() -> None:
    reasons = {planned(made(90, domain=f"{number}.example")).reason for number in range(60)}
    assert "20-30 days before expiry" in reasons
    assert "20-30 days before expiry; moved from Sat to Fri" in reasons
    assert "20-30 days before expiry; moved from Sun to Mon" in reasons


def test_an_instant_that_is_readable_by_others_is_the_one_that_counts() -> None:
    certificate = made(90)
    assert planned(certificate).due == parse_time(certificate.renewal_date)


def test_a_ca_s_window_counts_when_it_is_earlier_and_when_it_is_later_but_not_too_late() -> None:
    assert planned(made(90), window_of(10, 12)).code == "ari"
    assert planned(made(90), window_of(10, 12)).reason == (
        "CA asks for renewal between 2026-11-12 12:00 UTC and 2026-11-14 12:00 UTC (ARI)"
    )
    assert START + timedelta(days=10) <= planned(made(90), window_of(10, 12)).due <= START + timedelta(days=12)
    assert planned(made(45), window_of(29, 31)).code == "ari"  # renewal_days would have it on day 15 to 25
    late = planned(made(90), window_of(85, 89))
    assert (late.code, late.due <= START + timedelta(days=70)) == ("ari_late", True)


def test_what_is_known_of_the_certificate_before_does_not_count() -> None:
    state = attrs.evolve(window_of(1, 2), failures=3, retry_at=START, leaf="another")
    assert plan(made(90), state, POLICY, START) == planned(made(90))


def test_a_try_that_failed_is_repeated_when_it_is_time() -> None:
    at = START + timedelta(days=75)
    found = planned(made(90), RenewalState(failures=2, retry_at=at))
    assert (found.due, found.code) == (at, "retry")
    assert found.reason == "failed 2 times, next try at 2027-01-16 12:00 UTC"
    storage = planned(made(90), RenewalState(error="Vault is sealed", retry_at=at))
    assert storage.reason == "could not be tried: Vault is sealed, next try at 2027-01-16 12:00 UTC"


def test_a_forced_renewal_waits_for_no_calendar_but_for_its_next_try() -> None:
    now, later = START + timedelta(days=1), START + timedelta(days=2)
    found = planned(made(90), RenewalState(forced="operation 7"), frozen("nov"), now)
    assert (found.due, found.code, found.reason) == (now, "forced", "operation 7")
    assert planned(made(90), RenewalState(forced="operation 7", retry_at=later), frozen("nov"), now).due == later


def test_a_freeze_moves_a_renewal_behind_it_or_before_it_or_is_overridden() -> None:
    inside = made(90, renewal_days="30")  # on January 1st, until January 31st
    behind = planned(inside, policy=frozen("01-01..01-10"))
    assert (behind.code, behind.due.date().isoformat()) == ("calendar", "2027-01-11")
    assert behind.reason == "30 days before expiry; moved from 2027-01-01 12:00 UTC for freeze '01-01..01-10'"
    before = planned(inside, policy=frozen("jan"))
    assert (before.code, before.due.date().isoformat()) == ("calendar", "2026-12-31")
    overridden = planned(inside, policy=frozen("nov-jan"))
    assert (overridden.code, overridden.due) == ("overridden", parse_time(inside.renewal_date))
    assert overridden.reason.endswith("freeze 'nov-jan' overridden: there is no other time before it would be too late")


def test_who_finds_itself_in_a_freeze_with_the_way_before_it_missed_waits_for_its_own_time() -> None:
    inside = made(90, renewal_days="10")  # on January 21st
    now = datetime(2027, 1, 5, tzinfo=UTC)
    assert planned(inside, policy=frozen("jan"), now=now).due == parse_time(inside.renewal_date)


def test_what_is_overdue_waits_for_the_next_allowed_time() -> None:
    overdue, now = made(90), START + timedelta(days=72)  # a Wednesday
    found = planned(overdue, policy=frozen(windows=("tue 06:00-10:00",)), now=now)
    assert (found.code, found.due.strftime("%a"), 6 <= found.due.hour < 10) == ("calendar", "Tue", True)
    assert found.due - now < timedelta(days=7)


def test_a_window_of_the_ca_is_not_missed_for_a_freeze() -> None:
    state = window_of(10, 12)
    behind = planned(made(90), state, frozen("2026-11-12..2026-11-13"))
    assert START + timedelta(days=10) < behind.due < START + timedelta(days=12)
    past = planned(made(90), window_of(-3, -2), frozen("nov"))
    assert past.code == "overridden"
    assert past.due < START


@pytest.mark.parametrize(
    "facts",
    [
        {"expires": ""},
        {"expires": "soon"},
        {"expires": "0001-01-01 00:00:00 +0000 UTC"},
        {"expires": "9999-12-31 23:59:59 +0000 UTC"},
        {"expires": "1969-12-31 00:00:00 +0000 UTC"},
        {"issued_at": 10**18},
        {"issued_at": 0, "updated_at": -(10**17)},
        {"issued_at": 0, "days": 2**31},
    ],
)
def test_a_record_without_a_lifetime_that_makes_sense_has_no_plan(facts: dict[str, object]) -> None:
    certificate = attrs.evolve(made(90), **facts)  # type: ignore[arg-type]
    assert plan(certificate, NOTHING, POLICY, START) is None


def test_a_certificate_that_has_just_been_renewed_is_left_alone_whatever_the_ca_suggests() -> None:
    found = planned(made(90, renewal_count=1), window_of(-3, -2))
    assert found.due == START + timedelta(hours=6)
    assert found.reason.endswith("but not before 2026-11-02 18:00 UTC, since it has just been renewed")
