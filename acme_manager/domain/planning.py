"""When a certificate is renewed, decided from everything that has a say in it, and why, in words for people.

In this order: its `renewal_date`; the window that its CA suggests (RFC 9773); what failed before; the calendar of the
installation. Nothing of it can put a renewal off until too late: `LAST` and `SAFETY` bound what each may do.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs

from acme_manager.domain.calendar import Calendar
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import format_time, parse_time
from acme_manager.domain.renewal import Draw, draw, parse_window, short_lived, spread
from acme_manager.domain.renewal_state import RenewalState, Suggestion
from acme_manager.errors import InvalidRequest

_DAY = timedelta(days=1)
_PAUSE = timedelta(hours=6)  # the least between two renewals that the CA suggests
_YEARS = range(1971, 9000)  # Go's unset time is in the year 1, and 9999 means that there is no end (RFC 5280 4.1.2.5)
_USUAL_LIFE = 90 * _DAY  # of a record that does not say since when it is valid


@attrs.frozen(kw_only=True)
class Policy:
    """What the configuration says of renewals."""

    window: str  # common.cert_days_renewal
    calendar: Calendar = attrs.field(factory=Calendar)


@attrs.frozen(kw_only=True)
class RenewalPlan:
    """When to renew, and why: `code` for programs, `reason` for people; `start` to `end` is the window drawn from.

    Codes: `window`, `share` (a part of the lifetime), `stored` (another program's date), `ari`, `ari_late`,
    `last_moment`, `retry`, `calendar` (moved to a welcome time), `overridden` (no welcome time in time), `forced`.
    """

    due: datetime
    code: str
    reason: str
    start: datetime
    end: datetime


@attrs.frozen
class Life:
    """From when to when a certificate is valid."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """Never negative."""
        return max(self.end - self.start, timedelta())

    @property
    def last_moment(self) -> datetime:
        """After which nothing is ever planned: a twentieth of the life before its end, a day at most."""
        return self.end - min(self.length / 20, _DAY)

    @property
    def safe(self) -> datetime:
        """Until when a calendar may put a renewal off: a tenth of the life before its end, seven days at most."""
        return self.end - min(self.length / 10, 7 * _DAY)

    @property
    def backstop(self) -> datetime:
        """Until when a CA may put a renewal off: a quarter of the life before its end."""
        return self.end - self.length / 4


def life_of(certificate: Certificate) -> Life | None:
    """What the record says of the lifetime; None where it has no expiry that can be read, or that makes sense."""
    try:
        end = parse_time(certificate.expires)
        start = end - (certificate.days * _DAY or _USUAL_LIFE)
        changed = _from_milliseconds(certificate.updated_at) if certificate.updated_at else start
        issued = _from_milliseconds(certificate.issued_at) if certificate.issued_at else min(start, changed)
    except (ValueError, OverflowError, OSError):  # as datetime says that there is no such year
        return None
    return Life(issued, end) if end.year in _YEARS else None


def plan(certificate: Certificate, state: RenewalState, policy: Policy, now: datetime) -> RenewalPlan | None:
    """When to renew; None for a record without an expiry, unless it is forced.

    The same inputs give the same answer on every node. It stays the same until it is due. What is overdue and
    waits for a welcome time may come as soon as there is one.
    """
    life = life_of(certificate)
    state, key = state.of(certificate.fingerprint), certificate.id.key
    if state.forced:
        return _forced(state, life or Life(now, now), now)
    if life is None:
        return None
    planned = _configured(certificate, policy, life)
    if state.ari is not None:
        planned = _suggested(planned, state.ari, life, certificate)
    if planned.due > life.last_moment:
        why = f"{planned.reason}; but not later than {_moment(life.last_moment)}, so that there is time for another try"
        planned = attrs.evolve(planned, due=life.last_moment, code="last_moment", reason=why)
    if state.retry_at is not None and state.retry_at > planned.due:
        planned = attrs.evolve(planned, due=state.retry_at, code="retry", reason=_tries(state))
    return _welcome(planned, state, policy.calendar, life, key, now)


def renewal_date(certificate: Certificate, default: str) -> str:
    """The `renewal_date` of a record that has everything else; `default` counts where it has no `renewal_days`.

    It is drawn from the life that `plan` goes by, so that the two agree. Empty for a record without an expiry.
    """
    life = life_of(certificate)
    return "" if life is None else format_time(_drawn(certificate, default, life)[0].at)


def _forced(state: RenewalState, life: Life, now: datetime) -> RenewalPlan:
    tried = f"; {_tries(state)}" if state.retry_at is not None else ""
    return RenewalPlan(
        due=state.retry_at or now, code="forced", reason=state.forced + tried, start=life.start, end=life.end
    )


def _configured(certificate: Certificate, policy: Policy, life: Life) -> RenewalPlan:
    drawn, text = _drawn(certificate, policy.window, life)
    code, reason = _words(drawn, text, life)
    at, note = drawn.at, ""
    try:
        at = parse_time(certificate.renewal_date)
    except ValueError:
        # The Go original stores dates that it can't read again, and never renews those certificates.
        note = "; its renewal_date can't be read"
    if abs(at - drawn.at) > max(life.length / 20, _DAY / 24) and not drawn.start <= at <= drawn.end:
        code, reason = "stored", "the renewal_date of its record"
    elif abs(at - drawn.at) < timedelta(seconds=2) and drawn.at != drawn.drawn:
        note += f"; moved from {drawn.drawn:%a} to {drawn.at:%a}"
    return RenewalPlan(due=at, code=code, reason=reason + note, start=drawn.start, end=drawn.end)


def _drawn(certificate: Certificate, default: str, life: Life) -> tuple[Draw, str]:
    """The instant by `renewal_days`, and what those are."""
    text = certificate.renewal_days or default
    try:
        window = parse_window(text)
    except InvalidRequest:  # a record that another program wrote
        text = default
        window = parse_window(text)
    return draw(life.start, life.end, window, certificate.id.key), text


def _words(drawn: Draw, text: str, life: Life) -> tuple[str, str]:
    if drawn.fits:
        return "window", f"{text} days before expiry"
    share = "half" if short_lived(life.length) else "third"
    return "share", f"last {share} of its life: renewal_days '{text}' does not fit a life of {_span(life.length)}"


def _span(length: timedelta) -> str:
    for unit, name in ((_DAY, "days"), (_DAY / 24, "hours")):
        if length >= 2 * unit:
            return f"{round(length / unit, 1):g} {name}"
    return f"{length.total_seconds() / 60:.0f} minutes"


def _suggested(planned: RenewalPlan, ari: Suggestion, life: Life, certificate: Certificate) -> RenewalPlan:
    """RFC 9773 section 4.2: a uniformly random time of the window. The backstop is for a CA that suggests too late, the
    pause for one that wants every new certificate to be replaced at once."""
    at = ari.start + (ari.end - ari.start) * spread(f"{certificate.id.key} {ari.start.timestamp():.0f}")
    said = f"CA asks for renewal between {_moment(ari.start)} and {_moment(ari.end)} (ARI)"
    pause_ends = life.start + min(life.length / 20, _PAUSE)
    if certificate.renewal_count and at < pause_ends:
        at, said = pause_ends, f"{said}; but not before {_moment(pause_ends)}, since it has just been renewed"
    latest = max(planned.due, life.backstop)
    if at <= latest:
        return RenewalPlan(due=at, code="ari", reason=said, start=ari.start, end=ari.end)
    return attrs.evolve(planned, due=latest, code="ari_late", reason=f"{said}, which is later than is safe")


def _tries(state: RenewalState) -> str:
    tried = f"failed {state.failures} times" if state.failures > 1 else "failed once"
    if not state.failures:
        tried = f"could not be tried: {state.error}"
    return f"{tried}, next try at {_moment(state.retry_at)}" if state.retry_at else tried


def _welcome(
    planned: RenewalPlan, state: RenewalState, calendar: Calendar, life: Life, key: str, now: datetime
) -> RenewalPlan:
    """Move what falls into a time that is not welcome: to a later one if that is not too late, else to an earlier one.

    The move depends on the planned instant, so that it is the same whenever it is asked for. Only what has missed its
    instant, and is looked at in a time that is not welcome, gets another.
    """
    latest = life.safe if state.ari is None else min(life.safe, state.ari.end)
    against, against_now = calendar.against(planned.due), calendar.against(now)
    if against is not None:
        at = _later(calendar, planned.due, latest, key)
        if at is None:
            at = _earlier(calendar, planned.due, max(life.start + life.length / 3, state.retry_at or life.start), key)
            at = None if at is None or (at <= now and against_now is not None) else at
        if at is None:
            return _overridden(planned, against)
        planned = _moved(planned, at, against)
    if planned.due > now or against_now is None:
        return planned
    at = _later(calendar, now, latest, key)
    return _overridden(planned, against_now) if at is None else _moved(planned, at, against_now)


def _later(calendar: Calendar, at: datetime, latest: datetime, key: str) -> datetime | None:
    """In the first day of the next opening, where everybody who waits for it finds a time of its own."""
    opening = calendar.next_allowed(at, latest)
    if opening is None:
        return None
    return opening.start + min(opening.end - opening.start, _DAY) * spread(key)


def _earlier(calendar: Calendar, at: datetime, earliest: datetime, key: str) -> datetime | None:
    """In the last day of the opening before."""
    opening = calendar.last_allowed(at, earliest)
    if opening is None:
        return None
    return opening.end - min(opening.end - opening.start, _DAY) * (1 - spread(key))


def _moved(planned: RenewalPlan, at: datetime, against: str) -> RenewalPlan:
    why = f"{planned.reason}; moved from {_moment(planned.due)} for {against}"
    return attrs.evolve(planned, due=at, code="calendar", reason=why)


def _overridden(planned: RenewalPlan, against: str) -> RenewalPlan:
    why = f"{planned.reason}; {against} overridden: there is no other time before it would be too late"
    return attrs.evolve(planned, code="overridden", reason=why)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _from_milliseconds(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
