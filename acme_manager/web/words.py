"""How templates spell instants, spans, sizes and addresses. Instants are `<time>` elements: the script turns them into
the reader's zone, and without it they are in UTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import idna
from markupsafe import Markup

from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.domain.condition import Code, Tone
from acme_manager.domain.gotime import parse_time, rfc3339

_UNITS = (
    (86400 * 365.25, "year"),
    (86400 * 30.44, "month"),
    (86400, "day"),
    (3600, "hour"),
    (60, "minute"),
    (1, "second"),
)
_NEXT_UNIT_FROM = 2  # "36 hours" and not "1 day", "23 days" and not "0 months"


CONDITIONS: Mapping[Code, tuple[Tone, str]] = {
    Code.EXPIRED: (Tone.BAD, "Expired"),
    Code.FAILING: (Tone.BAD, "Failing"),
    Code.LATE: (Tone.BAD, "Late"),
    Code.NO_ISSUER: (Tone.WARN, "No issuer"),
    Code.NOT_SERVED: (Tone.WARN, "Not served"),
    Code.NOT_INSTALLED: (Tone.WARN, "Not installed"),
    Code.REQUEST_FAILED: (Tone.WARN, "Request failed"),
    Code.HELD: (Tone.WARN, "Held back"),
    Code.UNKNOWN: (Tone.WARN, "Unknown expiry"),
    Code.WAITING: (Tone.BUSY, "Waiting"),
    Code.DUE: (Tone.BUSY, "Due"),
    Code.RENEWING: (Tone.BUSY, "Under way"),
    Code.FINE: (Tone.GOOD, "Fine"),
}
"""A condition in a word, and how it is shown where many are counted together."""


def condition(code: Code) -> str:
    """How a certificate is doing, in a word or two."""
    return CONDITIONS[code][1]


def moment(value: datetime | str | int | float | None) -> datetime | None:
    """An instant out of what our records have: aware datetimes, RFC 3339, Go's text, Unix milliseconds; else None."""
    if value is None or value in {"", 0}:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000, UTC)
    for read in (datetime.fromisoformat, parse_time):
        try:
            found = read(value)
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, OverflowError):  # the latter: its year is none in UTC
            continue
    return None


def instant(value: Any, otherwise: str = "-") -> Markup:
    """`24 Nov 2026 17:05 UTC`, with the exact instant on hover."""
    at = moment(value)
    if at is None:
        return Markup("{}").format(otherwise if not isinstance(value, str) or not value else value)
    return Markup('<time datetime="{}" title="{} UTC">{} UTC</time>').format(
        rfc3339(at), at.strftime("%Y-%m-%d %H:%M:%S"), at.strftime("%-d %b %Y %H:%M")
    )


def relative(value: Any, now: datetime, otherwise: str = "-") -> Markup:
    """`in 3 days`, `5 minutes ago`, with the exact instant on hover."""
    at = moment(value)
    if at is None:
        return Markup("{}").format(otherwise)
    seconds = (at - now).total_seconds()
    ahead = f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"
    return _seen_from_now(at, "now" if abs(seconds) < 1 else ahead)


def lasting(value: Any, now: datetime) -> Markup:
    """Since when something has been so, or how much longer it will be: `for 5 minutes`, `for another 3 days`."""
    at = moment(value)
    if at is None:
        return Markup("-")
    seconds = (at - now).total_seconds()
    return _seen_from_now(at, f"for another {span(seconds)}" if seconds > 0 else f"for {span(-seconds)}")


def _seen_from_now(at: datetime, words: str) -> Markup:
    return Markup('<time datetime="{}" data-relative title="{} UTC">{}</time>').format(
        rfc3339(at), at.strftime("%Y-%m-%d %H:%M:%S"), words
    )


def span(seconds: float) -> str:
    """`36 hours`, `6 days`: a length of time in the largest unit of which there are two or more."""
    for length, unit in _UNITS:
        if seconds >= _NEXT_UNIT_FROM * length:
            return f"{round(seconds / length)} {unit}s"
    return f"{max(0, round(seconds))} second{'' if round(seconds) == 1 else 's'}"


def count(number: float, one: str, many: str = "") -> str:
    """`1 certificate`, `12,000 certificates`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(octets: float) -> str:
    """`512 B`, `1.5 MB`."""
    for unit in ("B", "kB", "MB"):
        if octets < 1000:
            return f"{octets:.0f} {unit}" if unit == "B" or octets >= 100 else f"{octets:.1f} {unit}"
        octets /= 1000
    return f"{octets:.1f} GB"


def fingerprint(text: str) -> str:
    """Hex in pairs: `AB:CD:…`."""
    plain = text.replace(":", "").upper()
    return ":".join(plain[at : at + 2] for at in range(0, len(plain), 2))


def address(page: str, **query: Any) -> str:
    """A page with its query string; what is empty is left out. All pages are in one folder, so no link has a path."""
    kept = [(name, one) for name, value in query.items() for one in _listed(value) if one not in {"", None}]
    return f"{page}?{urlencode(kept)}" if kept else page


def of_certificate(one: Certificate | CertificateId, page: str = "certificate", **query: Any) -> str:
    """The page about a certificate, or another one that takes its identity."""
    named = {"name": one.name} if one.name else {"issuer": one.issuer, "domain": one.domain}
    return address(page, owner=one.owner, **named, **query)


def title_of(one: Certificate | CertificateId) -> str:
    """What a certificate is called on a page."""
    return one.name or one.domain


def unicode_name(name: str) -> str:
    """A name as people read it, `müller.example` for `xn--mller-kva.example`; as it is where that can't be told."""
    try:
        star, rest = ("*.", name[2:]) if name.startswith("*.") else ("", name)
        return star + idna.decode(rest, uts46=True) if "xn--" in rest else name
    except UnicodeError:
        return name


def split_names(san: str) -> list[str]:
    """The names of a comma-separated list."""
    return [name for part in san.split(",") if (name := part.strip())]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


FILTERS: Mapping[str, Callable[..., Any]] = {
    "instant": instant, "condition": condition, "span": span, "size": size, "fingerprint": fingerprint,
    "title_of": title_of, "moment": moment, "unicode": unicode_name, "split_names": split_names,
}  # fmt: skip
GLOBALS: Mapping[str, Callable[..., Any]] = {
    "relative": relative, "lasting": lasting, "count": count, "address": address, "of_certificate": of_certificate,
}  # fmt: skip
