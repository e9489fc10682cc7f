"""Renewal information (RFC 9773) on paper: what a certificate is called there, and what a CA says about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from acme_manager.issuance.jws import b64
from acme_manager.issuance.wire import Unreadable
from acme_manager.ports import RenewalInfo

SHORTEST_PAUSE = 60.0  # seconds; both bounds are those that section 4.3.2 gives as an example
LONGEST_PAUSE = 86400.0
USUAL_PAUSE = 6 * 3600.0  # where the CA does not say when to ask again
_LONGEST_URL = 2000


def certificate_id(leaf: x509.Certificate) -> str:
    """What a CA knows the certificate by (section 4.1); empty where it names no issuer's key. Raises ValueError."""
    try:
        extension = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return ""
    issuer_key = extension.value.key_identifier
    return f"{b64(issuer_key)}.{b64(der_integer(leaf.serial_number))}" if issuer_key else ""


def der_integer(number: int) -> bytes:
    """The content of a DER INTEGER: as short as can be, with a leading zero where a first bit would mean a sign."""
    size = (number if number >= 0 else ~number).bit_length() // 8 + 1
    return number.to_bytes(size, "big", signed=True)


def read_renewal_info(document: Mapping[str, Any], retry_after: float | None) -> RenewalInfo:
    """Read an answer (section 4.2); `retry_after` are its seconds, None where it has no such header.

    Raises Unreadable, also for a window that ends before it begins.
    """
    window = document.get("suggestedWindow")
    if not isinstance(window, Mapping):
        raise Unreadable("'suggestedWindow' is no object")
    start, end = _instant(window, "start"), _instant(window, "end")
    if end <= start:
        raise Unreadable(f"'suggestedWindow' ends at {end.isoformat()}, not after its start at {start.isoformat()}")
    pause = USUAL_PAUSE if retry_after is None else retry_after
    return RenewalInfo(
        start=start,
        end=end,
        explanation=_explanation(document.get("explanationURL")),
        ask_again=min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE),
    )


def _instant(window: Mapping[str, Any], name: str) -> datetime:
    text = window.get(name)
    where = f"'suggestedWindow.{name}'"
    if not isinstance(text, str):
        raise Unreadable(f"{where} is no text")
    try:
        found = datetime.fromisoformat(text.upper())  # RFC 3339 allows a small t and z
        if found.tzinfo is None:
            raise Unreadable(f"{where} is '{text[:50]}', without an offset from UTC")
        return found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"{where} is '{text[:50]}', which is no time of RFC 3339") from error


def _explanation(url: object) -> str:
    """The URL of a page for people. Shown as a link somewhere, so nothing but a web address will do."""
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) and len(url) <= _LONGEST_URL else ""
