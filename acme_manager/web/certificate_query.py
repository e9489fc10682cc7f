"""What the address of the table of certificates asks for, and how its links say it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from werkzeug.datastructures import MultiDict

from acme_manager.domain.condition import CODES
from acme_manager.errors import InvalidRequest
from acme_manager.services.catalogue_row import COLUMNS
from acme_manager.services.catalogue_traits import TRAITS, WEAKNESSES
from acme_manager.services.catalogue_views import Query

LIMITS = (25, 50, 100, 200)
DEFAULT_LIMIT = 50
RARE: Mapping[str, str] = {
    "weakness": "Weak",
    "lifetime": "Lifetime",
    "profile": "Profile",
    "issued_by": "Issued by",
    "key": "Key made by",
    "reported": "On a host",
}
"""Filters that figures of the inventory lead to, and what they are called; nobody picks them from a list."""

_FILTERS = ("q", "condition", "issuer", "owner", "key_type", "challenge", "label", "expiring", *RARE)
_REPORTED = {"yes": True, "no": False, "": None}
_LARGEST = 999_999_999


def parse_query(args: MultiDict[str, str], *, most: int = LIMITS[-1]) -> Query:
    """Read the query string; a parameter that is empty or not known says nothing. Raises InvalidRequest."""
    sort = args.get("sort", "")
    if sort and sort.removeprefix("-") not in COLUMNS:
        raise InvalidRequest(f"'sort' must be one of {', '.join(COLUMNS)}, with a '-' before it to reverse it", "sort")
    codes = {code.value: code for code in CODES}
    conditions = [text for text in args.getlist("condition") if text]
    if unknown := [text for text in conditions if text not in codes]:
        raise InvalidRequest(f"'condition' must be one of {', '.join(codes)}, not '{unknown[0]}'", "condition")
    labels = (text.strip().partition("=") for text in args.get("label", "").split(",") if text.strip())
    weakness, reported = args.get("weakness", ""), args.get("reported", "")
    if weakness and weakness not in WEAKNESSES:
        raise InvalidRequest(f"'weakness' must be one of {', '.join(WEAKNESSES)}", "weakness")
    if reported not in _REPORTED:
        raise InvalidRequest("'reported' must be yes or no", "reported")
    return Query(
        q=args.get("q", ""),
        conditions=frozenset(codes[text] for text in conditions),
        issuer=args.get("issuer", ""),
        owner=args.get("owner", ""),
        labels=tuple((name.strip(), value.strip() if equals else None) for name, equals, value in labels),
        key_type=args.get("key_type", ""),
        challenge=args.get("challenge", ""),
        expiring=_number(args, "expiring", None),
        traits=tuple((name, value) for name in RARE if name in TRAITS and (value := args.get(name, ""))),
        weakness=weakness,
        reported=_REPORTED[reported],
        sort=sort.removeprefix("-") or "condition",
        descending=sort.startswith("-"),
        offset=_number(args, "offset", 0) or 0,
        limit=min(max(_number(args, "limit", DEFAULT_LIMIT) or 0, 1), most),
    )


def filters_of(args: MultiDict[str, str]) -> dict[str, Any]:
    """The filters that are set, for the links that keep them."""
    found: dict[str, Any] = {name: args.get(name, "") for name in _FILTERS if args.get(name, "")}
    if len(conditions := [text for text in args.getlist("condition") if text]) > 1:
        found["condition"] = conditions
    return found


def selection_of(query: Query) -> Mapping[str, Sequence[str]] | None:
    """The same as an operation's selector (domain/operation.py); None where that has no words for it."""
    unsaid = (query.q, query.conditions, query.challenge, query.traits, query.weakness)
    if any(unsaid) or query.expiring is not None or query.reported is not None:
        return None
    fields = {
        "issuers": [query.issuer] if query.issuer else [],
        "owners": [query.owner] if query.owner else [],
        "key_types": [query.key_type] if query.key_type else [],
        "labels": [name if value is None else f"{name}={value}" for name, value in query.labels],
    }
    return {name: values for name, values in fields.items() if values} or None


def _number(args: MultiDict[str, str], name: str, otherwise: int | None) -> int | None:
    text = args.get(name, "").strip()
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_LARGEST)):
        raise InvalidRequest(f"'{name}' must be a whole number up to {_LARGEST}", name)
    return int(text)
