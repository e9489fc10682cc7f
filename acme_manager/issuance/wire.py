"""What CAs say about orders and authorizations, read into our values (RFC 8555 sections 7.1.3 and 7.1.4).

Read here and not by the `acme` library's message classes: those decode tokens on the way, which changes one whose
base64 has stray bits at its end, and refuse a whole answer for a status or an identifier type that they don't know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from acme_manager.errors import Problem
from acme_manager.issuance.order import Order, Status
from acme_manager.issuance.problems import parse_problem

Document = Mapping[str, Any]


class Unreadable(ValueError):
    """An answer lacks a member that the RFC requires, or has one of another type."""


@attrs.frozen(kw_only=True)
class Offer:
    """A challenge that a CA offers."""

    type: str
    url: str
    token: str
    status: Status
    problem: Problem | None = None
    issuers: tuple[str, ...] = ()  # the CA's names in DNS (dns-persist-01)


@attrs.frozen(kw_only=True)
class Authorization:
    """An authorization. `name` is without a wildcard."""

    url: str
    status: Status
    name: str
    type: str
    offers: tuple[Offer, ...]

    @property
    def problem(self) -> Problem | None:
        """Why it failed: what the CA said about the challenge that did."""
        return next((offer.problem for offer in self.offers if offer.problem is not None), None)


def read_order(document: Document, url: str, retry_at: float = 0.0) -> Order:
    """Read an order. Raises Unreadable."""
    return Order(
        url=url,
        status=Status(_text(document, "status")),
        authorizations=tuple(_texts(document, "authorizations")),
        finalize=_text(document, "finalize", default=""),
        certificate=_text(document, "certificate", default=""),
        problem=parse_problem(document.get("error")),
        retry_at=retry_at,
    )


def read_names(document: Document) -> frozenset[tuple[str, str]]:
    """The types and values of an order's identifiers. Raises Unreadable."""
    found = _objects(document, "identifiers")
    return frozenset((_text(one, "type"), _text(one, "value").lower()) for one in found)


def read_authorization(document: Document, url: str) -> Authorization:
    """Read an authorization. Raises Unreadable."""
    identifier = document.get("identifier")
    if not isinstance(identifier, Mapping):
        raise Unreadable("it has no 'identifier'")
    return Authorization(
        url=url,
        status=Status(_text(document, "status")),
        name=_text(identifier, "value").removeprefix("*."),
        type=_text(identifier, "type"),
        offers=tuple(map(_read_offer, _objects(document, "challenges"))),
    )


def read_identities(found: Any) -> tuple[str, ...]:
    """A directory's `caaIdentities`; what makes no sense counts as not said."""
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list | tuple) else ()


def read_profiles(found: Any) -> dict[str, str]:
    """A directory's `profiles`, by name; what makes no sense counts as not said."""
    items = found.items() if isinstance(found, Mapping) else ()
    return {name: text if isinstance(text, str) else "" for name, text in items}


def _read_offer(document: Document) -> Offer:
    return Offer(
        type=_text(document, "type"),
        url=_text(document, "url", default=""),
        token=_text(document, "token", default=""),
        status=Status(_text(document, "status", default="pending")),
        problem=parse_problem(document.get("error")),
        issuers=read_identities(document.get("issuer-domain-names")),
    )


def _text(document: Document, name: str, default: str | None = None) -> str:
    value = document.get(name, default)
    if not isinstance(value, str):
        raise Unreadable(f"'{name}' is no text")
    return value


def _texts(document: Document, name: str) -> Sequence[str]:
    value = document.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Unreadable(f"'{name}' is no list of texts")
    return value


def _objects(document: Document, name: str) -> Sequence[Document]:
    value = document.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Unreadable(f"'{name}' is no list of objects")
    return value
