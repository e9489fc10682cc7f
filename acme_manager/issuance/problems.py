"""A CA's problem documents (RFC 8555 section 6.7, RFC 7807), and what they mean to us."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from acme_manager.errors import AcmeManagerError, IssuanceFailed, IssuerRateLimited, IssuerUnavailable, Problem

_DEEPEST = 3
_MOST = 100
_LONGEST_TEXT = 2000

# In plain words, since "caa" or "dnssec" alone help nobody who has a certificate to get.
_MEANINGS = {
    "accountDoesNotExist": "the CA does not know our account",
    "alreadyRevoked": "the certificate is revoked already",
    "badCSR": "the CA does not accept the signing request (a weak key, or names that differ from the order's)",
    "badPublicKey": "the CA does not accept this kind of key",
    "badSignatureAlgorithm": "the CA does not accept the account key's signature algorithm",
    "caa": "CAA records in DNS forbid this CA to issue for the name",
    "connection": "the CA could not connect to the name's server",
    "dns": "the CA could not look up the name in DNS",
    "dnssec": "the name's DNSSEC is broken",
    "externalAccountRequired": "the CA wants an external account binding: set eab, kid and hmac of the issuer",
    "incorrectResponse": "the CA saw another answer than the one it expects",
    "invalidContact": "the CA does not accept the issuer's contact",
    "invalidProfile": "the CA does not offer the profile",
    "malformed": "the CA could not make sense of the request",
    "orderNotReady": "the order is not ready to be finalized",
    "rateLimited": "the CA's rate limit is reached",
    "rejectedIdentifier": "the CA does not issue for the name",
    "serverInternal": "the CA has an internal error",
    "tls": "the CA met a TLS error at the name's server",
    "unauthorized": "the CA does not permit this",
    "unsupportedContact": "the CA does not accept this kind of contact",
    "unsupportedIdentifier": "the CA does not issue for this kind of name",
    "userActionRequired": "the CA wants somebody to act, for instance to agree to new terms",
}


def parse_problem(document: Any, status: int | None = None, depth: int = 0) -> Problem | None:
    """Read a decoded problem document; None for what is none. Nothing a CA sends makes this raise."""
    if not isinstance(document, Mapping) or not isinstance(document.get("type", ""), str):
        return None
    if not ({"type", "detail", "title"} & document.keys()):
        return None
    below = document.get("subproblems")
    deeper = below[:_MOST] if isinstance(below, list) and depth < _DEEPEST else []
    parsed = [parse_problem(one, depth=depth + 1) for one in deeper]
    identifier, own_status = document.get("identifier"), document.get("status")
    return Problem(
        type=_text(document.get("type")) or "about:blank",
        detail=_text(document.get("detail")) or _text(document.get("title")),
        status=own_status if isinstance(own_status, int) else status,
        identifier=_text(identifier.get("value")) if isinstance(identifier, Mapping) else "",
        subproblems=tuple(one for one in parsed if one is not None),
    )


def _text(value: Any) -> str:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""


def read_problem(body: bytes, status: int) -> Problem | None:
    """Read the body of an error response; None when it is no problem document."""
    try:
        return parse_problem(json.loads(body), status)
    except (ValueError, RecursionError):
        return None


def in_words(problem: Problem) -> str:
    """The problem for people: what it means, and what the CA said to each name."""
    meaning = _MEANINGS.get(problem.code, "")
    about = f"{problem.identifier}: " if problem.identifier else ""
    said = ": ".join(part for part in (meaning, problem.detail) if part) or problem.type
    return "; ".join([about + said, *map(in_words, problem.subproblems)])


def error_for(
    issuer: str, doing: str, status: int, problem: Problem | None, retry_after: float | None
) -> AcmeManagerError:
    """The error to raise for a response that is none of success. `doing` says what we wanted: `new order`."""
    if problem is None:
        told = f"issuer '{issuer}': {doing}: the CA answered {status}"
        if status == 429:
            return IssuerRateLimited(told, None, retry_after)
        return IssuerUnavailable(told, retry_after or 5.0) if status >= 500 else IssuanceFailed(told)
    told = f"issuer '{issuer}': {doing}: {in_words(problem)}"
    if problem.code == "rateLimited" or status == 429:
        return IssuerRateLimited(told, problem, retry_after)
    if status >= 500 and problem.code in {"serverInternal", "about:blank"}:
        return IssuerUnavailable(told, retry_after or 5.0)
    return IssuanceFailed(told, problem)
