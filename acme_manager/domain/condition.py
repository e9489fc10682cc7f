"""How a certificate is doing: one word for it, a sentence for people, what helps, and the facts that it follows from.

The rules are in judging.py.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product

import attrs

from acme_manager.domain.attempt import Attempt
from acme_manager.domain.planning import Life, RenewalPlan
from acme_manager.domain.renewal_state import NOTHING_KNOWN, RenewalState

_GRACE = timedelta(hours=1)  # for what takes its time: an order, and hosts that come by now and then; see Facts.grace
SHOWN_FOR = timedelta(days=3)  # a request that has come to nothing


class Code(enum.StrEnum):
    """What is the matter, the most urgent first."""

    EXPIRED = "expired"
    FAILING = "failing"  # its renewal
    LATE = "late"  # past its window, and nobody knows why it has not been renewed
    NO_ISSUER = "no_issuer"
    NOT_SERVED = "not_served"
    NOT_INSTALLED = "not_installed"
    REQUEST_FAILED = "request_failed"  # somebody has asked for it, or for a change of it, in vain
    HELD = "held"  # by an operation
    UNKNOWN = "unknown"  # no expiry that can be read
    WAITING = "waiting"  # for room at its CA, or for a welcome time
    DUE = "due"
    RENEWING = "renewing"
    FINE = "fine"


class Tone(enum.StrEnum):
    """How it is shown, the worst first."""

    BAD = "bad"
    WARN = "warn"
    BUSY = "busy"
    GOOD = "good"

    @property
    def wrong(self) -> bool:
        """Whether somebody should have a look."""
        return self in {Tone.BAD, Tone.WARN}


class Remedy(enum.StrEnum):
    """What helps, if anything does."""

    NONE = "none"  # time does, or somebody elsewhere
    RENEW = "renew"
    CHANGE = "change"  # the certificate itself: its names, its issuer, its key
    DNS = "dns"  # records, or the credentials for writing them
    ISSUER = "issuer"  # its configuration, or the account there
    OPERATION = "operation"
    HOSTS = "hosts"


CODES, TONES = tuple(Code), tuple(Tone)
_ORDER = {both: number for number, both in enumerate(product(TONES, CODES))}


def urgency(tone: Tone, code: Code) -> int:
    """The smaller the more urgent: by tone, then by code."""
    return _ORDER[tone, code]


@attrs.frozen(kw_only=True)
class Condition:
    """The condition of one certificate. It stays as it is until `until` unless something else than time changes."""

    code: Code
    tone: Tone
    sentence: str
    remedy: Remedy = Remedy.NONE
    advice: str = ""  # what to do about it, in a sentence
    cause: str = ""  # of a failure (domain/causes.py)
    cure: str = ""
    failures: int = 0  # in a row
    next_try: datetime | None = None
    under_way: bool = False  # an attempt is being made right now
    until: datetime | None = None

    @property
    def urgency(self) -> int:
        """See `urgency`."""
        return urgency(self.tone, self.code)


@attrs.frozen(kw_only=True)
class Facts:
    """Everything that the condition of a certificate depends on, besides the time."""

    life: Life | None  # None: its record has no expiry that can be read
    plan: RenewalPlan | None = None
    renewal: RenewalState = NOTHING_KNOWN  # of this very certificate
    issuer: str = ""
    configured: bool = True  # its issuer is
    held: str = ""  # by which operation, in words
    outdated: int = 0  # hosts that have another one installed
    not_served: int = 0  # hosts that don't show what they have installed
    attempt: Attempt | None = None  # the newest one, unless it ended well

    @property
    def grace(self) -> timedelta:
        """How long things may take before it is worth a word: an hour, or a twentieth of a short life."""
        return _GRACE if self.life is None else min(_GRACE, self.life.length / 20)

    @property
    def closes(self) -> datetime | None:
        """When the renewal is late: at the end of its window."""
        if self.plan is not None:
            return self.plan.end
        return self.life.safe if self.life is not None else None

    @property
    def late(self) -> datetime | None:
        """When there is no more excuse: with its window over, and the planned instant gone by."""
        return None if self.plan is None else max(self.plan.end, self.plan.due + self.grace)

    @property
    def settled(self) -> datetime | None:
        """From when on its hosts should have it."""
        return None if self.life is None else self.life.start + self.grace

    @property
    def predecessor_gone(self) -> datetime | None:
        """When the one before it has expired too, if that was renewed at the start of a window like this one's."""
        if self.life is None or self.plan is None:
            return None
        return self.life.start + (self.life.end - min(max(self.plan.start, self.life.start), self.life.end))

    def running(self, now: datetime) -> bool:
        """Whether an attempt is being made."""
        return self.attempt is not None and self.attempt.goes_on(now)

    def boundaries(self) -> Iterator[datetime | None]:
        """Every instant at which the condition can become another one by itself."""
        yield from (self.closes, self.late, self.settled, self.predecessor_gone)
        if self.life is not None:
            yield self.life.end
        if self.plan is not None:
            yield self.plan.due
        if self.attempt is not None and self.attempt.failed_at is not None:
            yield from (self.attempt.failed_at, self.attempt.failed_at + SHOWN_FOR)
