"""What a CA's refusal is about: which of its limits, and which names could not be validated (RFC 8555 section 6.7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from acme_manager.domain.budget import ACCOUNT, Bucket, Kind, bucket_of
from acme_manager.domain.names import Identifier
from acme_manager.errors import Problem

# What a CA finds when it looks at a name. `unauthorized` is also what it says to an account that it does not trust.
_FOUND = frozenset({"caa", "connection", "dns", "dnssec", "incorrectResponse", "tls"})
_FOUND_AT_A_NAME = _FOUND | {"malformed", "unauthorized"}


def blamed(problem: Problem | None, identifiers: Sequence[Identifier]) -> list[Bucket]:
    """What a `rateLimited` problem is about. Where it can't be told it is about all orders of our account.

    RFC 8555 has no member that says it, so this reads the words that Let's Encrypt and its followers use.
    """
    if problem is None:
        return [ACCOUNT]
    named = [Bucket(Kind.IN_A_ROW, one.base) for one in identifiers if one.base in set(_names(problem))]
    if named:
        return list(dict.fromkeys(named))
    said = re.sub(r"https?://\S+", "", problem.detail.lower())
    if "exact set" in said:
        return list(bucket_of(Kind.SET, identifiers))
    kind = Kind.IN_A_ROW if "authorization" in said or "prevented" in said else Kind.DOMAIN
    words = {word.strip("\"'.,:;()").removeprefix("*.") for word in said.split()}
    return [bucket for bucket in bucket_of(kind, identifiers) if bucket.about in words] or [ACCOUNT]


def failed_names(problem: Problem, identifiers: Sequence[Identifier]) -> list[Identifier]:
    """Whose validation has failed. One that is told of no name counts for each of the order's."""
    parts = list(_parts(problem))
    told = {part.identifier.removeprefix("*.") for part in parts if part.code in _FOUND_AT_A_NAME}
    if any(told):
        return [one for one in identifiers if one.base in told]
    return list(identifiers) if any(part.code in _FOUND for part in parts) else []


def _names(problem: Problem) -> Iterator[str]:
    return (part.identifier.removeprefix("*.") for part in _parts(problem) if part.identifier)


def _parts(problem: Problem) -> Iterator[Problem]:
    yield problem
    for one in problem.subproblems:
        yield from _parts(one)
