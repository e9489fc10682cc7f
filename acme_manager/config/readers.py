"""How single values of a configuration are read: `reader(raw value) -> value`, or ValueError with what would be right.

Messages never show a text that was given: it may be a secret in the wrong place.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from acme_manager.domain.budget import PRESETS, Exempt, Limit
from acme_manager.domain.calendar import parse_span, parse_zone
from acme_manager.domain.durations import parse_go_duration, parse_prometheus_duration
from acme_manager.domain.renewal import parse_window
from acme_manager.errors import InvalidRequest

Reader = Callable[[Any], Any]

GO_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_NAMES = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a mapping"}


def kind_of(value: object) -> str:
    """The type of a raw value in plain words."""
    return "nothing" if value is None else "text" if isinstance(value, str) else _NAMES.get(type(value), "a date")


def text(value: Any) -> str:
    """Text; YAML reads some words as numbers, dates or booleans, so those must be in quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict) or value is None:
        raise ValueError(f"must be text, not {kind_of(value)}")
    raise ValueError(f"must be text, but YAML reads it as {kind_of(value)}: put it in quotes")


def truth(value: Any) -> bool:
    """A boolean."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"must be true or false, not {kind_of(value)}")


def go_boolean(value: str) -> bool:
    """A boolean of a flag or a variable, as Go's `strconv.ParseBool` has it."""
    if value not in GO_BOOLEANS:
        raise ValueError("must be true or false")
    return GO_BOOLEANS[value]


def whole(low: int, high: int) -> Reader:
    """A whole number within bounds."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number without quotes, not {kind_of(value)}")
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")
        return value

    return read


def seconds(low: float, high: float) -> Reader:
    """A number of seconds within bounds."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"must be a number of seconds without quotes or unit, not {kind_of(value)}")
        if not low <= value <= high:  # NaN is not, either
            raise ValueError(f"must be between {low:g} and {high:g} seconds")
        return float(value)

    return read


def filled(value: Any) -> str:
    """Text that is not empty."""
    if not text(value).strip():
        raise ValueError("must not be empty")
    return text(value)


def path(value: Any) -> Path:
    """The path of a file or folder, as the process sees it."""
    if "\0" in filled(value):
        raise ValueError("must be a path, which has no NUL character")
    return Path(value)


def absolute(value: Any) -> Path:
    """An absolute path."""
    if not path(value).is_absolute():
        raise ValueError("must be an absolute path, one that begins with /")
    return path(value)


def certificates(value: Any) -> Path:
    """The path of a PEM file with certificates, which must be there."""
    try:
        content = path(value).read_bytes()
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}; name a PEM file with CA certificates") from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise ValueError("must name a PEM file with CA certificates; that file has none")
    return path(value)


def go_duration(value: Any) -> float:
    """A Go duration above zero, in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("must be a duration with a unit, like 1h, 30m or 90s")
    duration = parse_go_duration(text(value))
    if duration <= 0:
        raise ValueError("must be a duration above zero, like 1h, 30m or 90s")
    return duration


def renewal_window(value: Any) -> str:
    """`N` or `MIN-MAX` days; a plain number means what it says."""
    window = str(value) if type(value) is int else text(value)
    try:
        parse_window(window)
    except InvalidRequest as error:
        raise ValueError(f"{error}; like '20-30' or '30'") from None
    return window


def spans(value: Any) -> tuple[str, ...]:
    """Times that come again, as domain/calendar.py has them."""
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {kind_of(value)}")
    for number, span in enumerate(value, 1):
        try:
            parse_span(text(span))
        except ValueError as error:
            raise ValueError(f"entry {number} {error}") from None
    return tuple(value)


def time_zone(value: Any) -> str:
    """A time zone by its IANA name."""
    parse_zone(text(value))
    return str(value)


def rate_limit(value: Any) -> Limit | None:
    """`COUNT/PERIOD`; None for the word `none`."""
    if value == "none":
        return None
    count, _, period = text(value).partition("/")
    wrong = "must be how many in which time, like 300/3h or 50/7d, or none"
    if not re.fullmatch("[0-9]{1,9}", count):
        raise ValueError(wrong)
    try:
        limit = Limit(int(count), parse_prometheus_duration(period))
    except ValueError as error:
        raise ValueError(wrong) from error
    if not limit.count or not limit.period:
        raise ValueError(wrong)
    return limit


def preset(value: Any) -> str:
    """The name of limits that we know."""
    if text(value) not in PRESETS:
        raise ValueError(f"must be one of {', '.join(PRESETS)}")
    return str(value)


def exemption(value: Any) -> Exempt:
    """Which renewals a CA does not refuse."""
    if text(value) not in set(Exempt):
        raise ValueError(f"must be one of {', '.join(Exempt)}")
    return Exempt(value)


def api_key_hash(value: Any) -> str:
    """The SHA-256 (or legacy SHA-1) of the admin API key in hex."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{40}", text(value)):
        raise ValueError("must be the SHA-256 of the API key as 64 hex digits: printf %s KEY | sha256sum")
    return str(value).lower()


def checksum(value: Any) -> str:
    """A SHA-256 in hex, in lower case; a prefix `sha256:` is dropped."""
    found = re.fullmatch(r"(?:sha256:)?([0-9a-fA-F]{64})", text(value))
    if found is None:
        raise ValueError("must be the file's SHA-256 as 64 hex digits: sha256sum FILE")
    return found[1].lower()


def base64url(value: Any) -> str:
    """Base64url without padding; plain base64 and padding are accepted, since CAs give all of them."""
    unpadded = text(value).rstrip("=").translate(str.maketrans("+/", "-_"))
    if not re.fullmatch(r"[A-Za-z0-9_-]+", unpadded) or len(unpadded) % 4 == 1:
        raise ValueError("must be base64url, as the CA gave it: letters, digits, - and _ only")
    return unpadded


def https_url(value: Any) -> str:
    """An https URL; plain http only to this machine."""
    scheme, host = _scheme_and_host(text(value))
    if scheme == "https" or (scheme == "http" and _is_loopback(host)):
        return str(value)
    raise ValueError("must be an https URL; plain http is allowed to loopback only")


def http_url(value: Any) -> str:
    """An http or https URL, without a final slash."""
    scheme, _ = _scheme_and_host(text(value))
    if scheme not in {"http", "https"}:
        raise ValueError("must be a URL that begins with https:// or http://")
    return str(value).rstrip("/")


def _scheme_and_host(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        if parts.port == 0 or parts.username is not None or re.search(r"[\s\x00-\x1f]", url):
            raise ValueError
    except ValueError:
        raise ValueError("must be a URL like https://host:port/path, without blanks, user or password") from None
    return (parts.scheme, parts.hostname) if parts.hostname else ("", "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def store_path(value: Any) -> str:
    """A path inside the store, without slashes at its ends."""
    inner = filled(value).strip("/")
    if not inner or any(part in {"", ".", ".."} for part in inner.split("/")) or re.search(r"[\s?#%\x00-\x1f]", inner):
        raise ValueError("must be a path in the store, like certificates or team/certificates")
    return inner


def is_ring_key(text: str) -> bool:
    """Whether this is base64 of a key for AES-128, -192 or -256."""
    try:
        return len(base64.b64decode(text, validate=True)) in {16, 24, 32}
    except ValueError:
        return False
