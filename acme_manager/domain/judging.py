"""The rules by which a certificate is said to be doing well or badly (condition.py), the most urgent first.

Nothing here knows of days: what is early or late follows from the window of the renewal, so that it is right for six
days of life and for 398.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import attrs

from acme_manager.domain.attempt import Attempt
from acme_manager.domain.condition import SHOWN_FOR, Code, Condition, Facts, Remedy, Tone


def condition(facts: Facts, now: datetime) -> Condition:
    """The most urgent of what can be said."""
    found = next(said for rule in _RULES if (said := rule(facts, now)) is not None)
    if facts.life is not None and facts.life.end <= now:
        found = _expired(found)
    until = min((at for at in facts.boundaries() if at is not None and at > now), default=None)
    return attrs.evolve(found, until=until, under_way=facts.running(now))


def failed_request(attempt: Attempt, now: datetime) -> Condition | None:
    """Of what somebody has asked for in vain, be there a certificate or not; None once it is no news any more."""
    at = attempt.failed_at
    if at is None or not at <= now < at + SHOWN_FOR:
        return None
    if attempt.outcome == "failed":
        sentence, advice = attempt.error or "the log says why", _advice_on_request(attempt.cause)
    else:
        sentence, advice = "it was interrupted, since its node stopped", "Try again."
    return Condition(
        code=Code.REQUEST_FAILED,
        tone=Tone.WARN,
        sentence=f"The last request failed: {sentence}",
        remedy=Remedy.DNS if _REMEDIES.get(attempt.cause, (Remedy.CHANGE, ""))[0] is Remedy.DNS else Remedy.CHANGE,
        advice=advice,
        cause=attempt.cause,
    )


def _advice_on_request(cause: str) -> str:
    """Nobody but who has asked for it tries again."""
    if cause in _PASSING:
        return f"{_PASSING[cause][1]}: try again later."
    return f"{_REMEDIES[cause][1]} Then try again." if cause in _REMEDIES else "Correct what it says, and try again."


def _expired(why: Condition) -> Condition:
    if why.code in {Code.FINE, Code.DUE, Code.LATE, Code.RENEWING, Code.WAITING}:
        why = attrs.evolve(why, advice=why.advice or _RENEW_NOW, remedy=Remedy.RENEW)
    sentence = "It has expired." if why.code in {Code.FINE, Code.LATE} else f"It has expired. {why.sentence}"
    return attrs.evolve(why, code=Code.EXPIRED, tone=Tone.BAD, sentence=sentence)


def _failing(facts: Facts, now: datetime) -> Condition | None:
    known = facts.renewal
    if not known.error:
        return None
    remedy, advice = _REMEDIES.get(known.cause, (Remedy.RENEW, _RENEW_NOW))
    fails = "Its renewal could not be tried" if not known.failures else "Its renewal fails"
    waits = f" It waits for room: {known.waits_for}." if known.waits_for else ""
    return Condition(
        code=Code.FAILING,
        tone=_tone(facts, now),
        sentence=f"{fails}: {known.error}{waits}",
        remedy=remedy,
        advice=advice,
        cause=known.cause,
        cure=known.cure,
        failures=known.failures,
        next_try=known.retry_at,
    )


def _no_issuer(facts: Facts, now: datetime) -> Condition | None:
    if facts.configured:
        return None
    due = facts.plan is not None and facts.plan.due <= now
    return Condition(
        code=Code.NO_ISSUER,
        tone=Tone.BAD if due else Tone.WARN,
        sentence=f"Its issuer '{facts.issuer}' is not configured, so it is not renewed.",
        remedy=Remedy.ISSUER,
        advice=f"Configure the issuer '{facts.issuer}' again, or ask for the certificate from another one.",
    )


def _renewing(facts: Facts, now: datetime) -> Condition | None:
    if facts.attempt is None or not facts.running(now):
        return None
    return Condition(
        code=Code.RENEWING, tone=Tone.BUSY, sentence=f"Work on it is under way ({facts.attempt.reason or 'requested'})."
    )


def _waiting(facts: Facts, now: datetime) -> Condition | None:
    plan, limit = facts.plan, facts.renewal.waits_for
    if plan is None:
        return None
    if limit and plan.due <= now:
        return Condition(
            code=Code.WAITING,
            tone=Tone.BAD if now >= plan.end else Tone.BUSY,
            sentence=f"It is due, and waits for room at its CA: {limit}.",
        )
    if plan.code == "calendar" and plan.end <= now < plan.due:
        sentence = "Its window is over, and it waits for a time that is welcome by the calendar."
        return Condition(code=Code.WAITING, tone=Tone.WARN, sentence=sentence, remedy=Remedy.RENEW, advice=_RENEW_NOW)
    return None


def _late(facts: Facts, now: datetime) -> Condition | None:
    if facts.late is None or now < facts.late:
        return None
    return Condition(
        code=Code.LATE,
        tone=Tone.BAD,
        sentence="Its window is over, and it has not been renewed.",
        remedy=Remedy.RENEW,
        advice="See that there is a leader and that its renewal worker runs, or renew it now.",
    )


def _not_served(facts: Facts, now: datetime) -> Condition | None:
    if not facts.not_served or not _settled(facts, now):
        return None
    return Condition(
        code=Code.NOT_SERVED,
        tone=_tone_of_hosts(facts, now),
        sentence=f"{_hosts(facts.not_served)} another certificate than the one that is installed, or none.",
        remedy=Remedy.HOSTS,
        advice="Reload the services there; the host's report says what they showed.",
    )


def _not_installed(facts: Facts, now: datetime) -> Condition | None:
    if not facts.outdated or not _settled(facts, now):
        return None
    return Condition(
        code=Code.NOT_INSTALLED,
        tone=_tone_of_hosts(facts, now),
        sentence=f"{_hosts(facts.outdated, 'has', 'have')} not installed the current certificate.",
        remedy=Remedy.HOSTS,
        advice="See that the agent runs there and can reach this server.",
    )


def _request_failed(facts: Facts, now: datetime) -> Condition | None:
    due = facts.plan is not None and facts.plan.due <= now  # then it is tried again by itself
    return None if facts.attempt is None or due else failed_request(facts.attempt, now)


def _held(facts: Facts, now: datetime) -> Condition | None:
    if not facts.held:
        return None
    return Condition(
        code=Code.HELD,
        tone=_tone(facts, now),
        sentence=f"It is not renewed by itself: {facts.held}.",
        remedy=Remedy.OPERATION,
        advice="Finish what the operation asks for, or abort it.",
    )


def _due(facts: Facts, now: datetime) -> Condition | None:
    if facts.plan is None or facts.plan.due > now:
        return None
    return Condition(code=Code.DUE, tone=Tone.BUSY, sentence="It is due, and about to be renewed.")


def _unknown(facts: Facts, _now: datetime) -> Condition | None:
    if facts.life is not None:
        return None
    return Condition(
        code=Code.UNKNOWN,
        tone=Tone.WARN,
        sentence="Its record has no expiry that can be read, so it is never renewed by itself.",
        remedy=Remedy.RENEW,
        advice="Renew it once: then its record is complete.",
    )


def _fine(_facts: Facts, _now: datetime) -> Condition:
    return Condition(code=Code.FINE, tone=Tone.GOOD, sentence="All is well; it is renewed by itself.")


_RULES: tuple[Callable[[Facts, datetime], Condition | None], ...] = (
    _failing,
    _no_issuer,
    _renewing,
    _waiting,
    _late,
    _not_served,
    _not_installed,
    _request_failed,
    _held,
    _due,
    _unknown,
    _fine,
)

_RENEW_NOW = "Renew it now, or wait for the next try."
_PASSING: Mapping[str, tuple[Remedy, str]] = {
    "rate_limit": (Remedy.NONE, "Its CA has reached a limit"),
    "ca_unavailable": (Remedy.RENEW, "The CA can't be reached or has trouble"),
    "timeout": (Remedy.RENEW, "The CA took too long"),
    "storage": (Remedy.NONE, "The store did not answer"),
    "cluster": (Remedy.NONE, "The cluster had no leader"),
}
_REMEDIES: Mapping[str, tuple[Remedy, str]] = {
    **{cause: (remedy, f"{what}: it is tried again by itself.") for cause, (remedy, what) in _PASSING.items()},
    "caa": (Remedy.DNS, "Let the CA issue for the name in its CAA record."),
    "dns": (Remedy.DNS, "See that the name's DNS zone answers, and with the record that the CA looks for."),
    "credentials": (Remedy.DNS, "Correct the credentials of the DNS provider."),
    "unknown_zone": (Remedy.DNS, "Give the DNS provider the zone of the name, or use the provider that has it."),
    "challenge": (Remedy.DNS, "See that the CA can reach the name, and finds our answer there."),
    "account": (Remedy.ISSUER, "See to our account at the CA."),
    "rejected": (Remedy.CHANGE, "The CA refuses the certificate as it is asked for: change it."),
    "configuration": (Remedy.CHANGE, "Correct what it says, in the certificate or in the configuration."),
    "hook": (Remedy.CHANGE, "A hook of the configuration refuses the order: change the certificate, or the hook."),
}


def _tone(facts: Facts, now: datetime) -> Tone:
    return Tone.BAD if facts.closes is not None and now >= facts.closes else Tone.WARN


def _tone_of_hosts(facts: Facts, now: datetime) -> Tone:
    gone = facts.predecessor_gone
    return Tone.BAD if gone is not None and now >= gone else Tone.WARN


def _settled(facts: Facts, now: datetime) -> bool:
    return facts.settled is None or now >= facts.settled


def _hosts(number: int, one: str = "shows", many: str = "show") -> str:
    return f"{number} host {one}" if number == 1 else f"{number} hosts {many}"
