"""Why an issuance failed and who can cure that, and when to try again.

Grouping by cause is what makes a thousand failures one line in the log, and keeps a renewal that waits for somebody to
change a DNS record from being repeated every minute.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

import attrs

from acme_manager import errors
from acme_manager.domain.renewal import spread

_STEPS = (60.0, 600.0, 6000.0, 86400.0)  # seconds; the last one repeats
_PARTS = 10  # of what is left of the certificate: one of them is the longest wait
_BUSY = 900.0  # seconds: but never more often than that, since CAs count failures by the hour
_EXPIRED = 3600.0  # the longest wait once nothing is left


class Cure(enum.StrEnum):
    """What can make the next attempt succeed."""

    TIME = "time"
    ANOTHER_CA = "another_ca"  # or time
    PERSON = "person"


@attrs.frozen(kw_only=True)
class Cause:
    """The kind of a failure. `sentence` is the error's own, for people; `retry_after` is the CA's figure, in seconds.

    `counted` is false for what says nothing about the certificate, such as a store that is away: tried again soon.
    """

    name: str
    cure: Cure
    sentence: str
    retry_after: float | None = None
    counted: bool = True


_BY_PROBLEM: Mapping[str, tuple[str, Cure]] = {  # RFC 8555 section 6.7
    "rateLimited": ("rate_limit", Cure.ANOTHER_CA),
    "serverInternal": ("ca_unavailable", Cure.ANOTHER_CA),
    "caa": ("caa", Cure.PERSON),
    "dns": ("dns", Cure.TIME),
    "dnssec": ("dns", Cure.PERSON),
    "connection": ("challenge", Cure.TIME),
    "tls": ("challenge", Cure.TIME),
    "incorrectResponse": ("challenge", Cure.TIME),
    "unauthorized": ("challenge", Cure.TIME),  # the answer was not there yet, or not the one that is wanted
    "accountDoesNotExist": ("account", Cure.PERSON),
    "externalAccountRequired": ("account", Cure.PERSON),
    "userActionRequired": ("account", Cure.PERSON),
    "orderNotReady": ("rejected", Cure.TIME),
    "badNonce": ("ca_unavailable", Cure.TIME),
}
_BY_DNS: Mapping[str, tuple[str, Cure]] = {
    "credentials": ("credentials", Cure.PERSON),
    "zone": ("unknown_zone", Cure.PERSON),
    "input": ("dns", Cure.PERSON),
}


def classify(error: errors.AcmeManagerError) -> Cause:
    """The cause behind what an issuance raised."""
    name, cure = _kind(error)
    retry_after = getattr(error, "retry_after", None)
    counted = not isinstance(error, errors.Unavailable) or isinstance(error, errors.IssuerUnavailable)
    return Cause(name=name, cure=cure, sentence=str(error), retry_after=retry_after, counted=counted)


def _kind(error: errors.AcmeManagerError) -> tuple[str, Cure]:
    match error:
        case errors.IssuerRateLimited():
            return "rate_limit", Cure.ANOTHER_CA
        case errors.IssuanceTimedOut():
            return "timeout", Cure.ANOTHER_CA
        case errors.IssuanceFailed():
            return _of_problem(error.problem)
        case errors.IssuerUnavailable():
            return "ca_unavailable", Cure.ANOTHER_CA
        case errors.OrderRefused():
            return "hook", Cure.PERSON
        case errors.DnsFailed():
            return _BY_DNS.get(error.cause, ("dns", Cure.TIME))
        case errors.ChallengeFailed():
            return "challenge", Cure.TIME
        case errors.Unavailable():
            return (
                "storage" if isinstance(error, errors.StorageUnavailable | errors.StorageDenied) else "cluster"
            ), Cure.TIME
        case errors.Rejected():
            return "configuration", Cure.PERSON
    return "internal", Cure.TIME


def _of_problem(problem: errors.Problem | None) -> tuple[str, Cure]:
    """A problem with subproblems is as hard to cure as the hardest of them."""
    if problem is None:
        return "rejected", Cure.TIME
    kinds = [_BY_PROBLEM.get(one.code, ("rejected", Cure.PERSON)) for one in _leaves(problem)]
    return next((kind for kind in kinds if kind[1] is Cure.PERSON), kinds[0])


def _leaves(problem: errors.Problem) -> Iterator[errors.Problem]:
    if not problem.subproblems:
        yield problem
    for one in problem.subproblems:
        yield from _leaves(one)


def backoff(failures: int, left: float, retry_after: float | None, key: str) -> float:
    """Seconds to wait after the `failures`-th failure in a row of a certificate with `left` seconds to its expiry.

    1 min, 10 min, 100 min, then daily, up to a fifth more so that those that fail together don't come back together;
    never longer than a tenth of what is left, or of what has passed since expiry. A CA's Retry-After is waited for in
    any case.
    """
    step = _STEPS[min(max(failures, 1), len(_STEPS)) - 1] * (1 + 0.2 * spread(f"{failures} {key}"))
    longest = max(abs(left) / _PARTS, _BUSY if left > 0 else _EXPIRED)
    return max(min(step, longest), retry_after or 0.0)
