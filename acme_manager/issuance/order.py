"""What to do next with an order: a function of what the CA last said (RFC 8555 sections 7.1.3, 7.1.6 and 7.4).

The state lives at the CA, so a process that starts anew needs only the order's URL. Times are monotonic seconds.
"""

from __future__ import annotations

import enum

import attrs

from acme_manager.errors import Problem

FIRST_LOOK = 0.02
FIRST_PAUSE = 0.1
GROWTH = 1.5
LONGEST_PAUSE = 5.0


class Status(enum.StrEnum):
    """States of orders, authorizations and challenges. What a CA invents beyond them is UNKNOWN."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, _value: object) -> Status:
        return cls.UNKNOWN


@attrs.frozen(kw_only=True)
class Order:
    """An order as we know it: what the CA said, and what we have done about it since."""

    url: str
    status: Status
    authorizations: tuple[str, ...] = ()
    finalize: str = ""
    certificate: str = ""
    problem: Problem | None = None
    answered: bool = False  # the CA has been told that the challenges are in place
    finalized: bool = False  # the signing request has been sent
    looks: int = 0  # how often we have asked in this state
    retry_at: float = 0.0  # not before this does the CA want to be asked again


@attrs.frozen
class Answer:
    """Make the open challenges visible and tell the CA."""


@attrs.frozen
class WaitUntil:
    """Ask again at this time."""

    at: float


@attrs.frozen
class Finalize:
    """Send the signing request."""

    url: str


@attrs.frozen
class Download:
    """Fetch the certificate."""

    url: str


@attrs.frozen
class GiveUp:
    """Nothing will come of it."""

    reason: str


Next = Answer | WaitUntil | Finalize | Download | GiveUp


def pause(looks: int) -> float:
    """How long to wait before looking again, in seconds.

    The first look comes at once: many CAs are done by then, and a single request more is no burden. Then pauses start
    at a tenth of a second and grow; several CAs throttle or wedge under shorter ones.
    """
    if looks == 0:
        return FIRST_LOOK
    return min(FIRST_PAUSE * GROWTH ** min(looks - 1, 50), LONGEST_PAUSE)


def next_step(order: Order, now: float) -> Next:
    """Decide from what is known. Every order ends in Download or GiveUp as soon as the CA says so."""
    wait = WaitUntil(max(order.retry_at, now + pause(order.looks)))
    match order.status:
        case Status.VALID if order.certificate:
            return Download(order.certificate)
        case Status.VALID | Status.PROCESSING:
            return wait
        case Status.READY:
            # Some CAs go on saying `ready` for a while after they have taken the signing request.
            return wait if order.finalized else Finalize(order.finalize)
        case Status.PENDING:
            return wait if order.answered else Answer()
        case Status.INVALID:
            return GiveUp("the CA refused the order")
    return GiveUp(f"the order is {order.status}")


def seen(before: Order, now: Order) -> Order:
    """Carry over to the CA's newest answer what it doesn't know: what we did, and how often we asked."""
    same = before.status is now.status
    return attrs.evolve(
        now,
        answered=before.answered,
        finalized=before.finalized,
        looks=before.looks + 1 if same else 0,
        finalize=now.finalize or before.finalize,
        authorizations=now.authorizations or before.authorizations,
    )
