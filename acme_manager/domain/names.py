"""Domain names, wildcards, IP addresses and Unicode names: one spelling for each.

Names are compared, ordered and stored in the form a CA sees: lower case, A-labels (RFC 5891, mapped by UTS 46), and
the canonical text of an IP address (RFC 5952, RFC 8738).
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

import attrs
import idna

from acme_manager.errors import InvalidRequest

# Underscores are no host names, but private CAs issue for them and the Go original accepted them.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?", re.IGNORECASE)


class IdentifierType(enum.StrEnum):
    """Identifier types of RFC 8555 section 9.7.7."""

    DNS = "dns"
    IP = "ip"


@attrs.frozen(order=True)
class Identifier:
    """What a certificate is to vouch for. `value` is the spelling that goes over the wire."""

    type: IdentifierType
    value: str

    @property
    def wildcard(self) -> bool:
        """Whether this stands for every name one label below."""
        return self.value.startswith("*.")

    @property
    def base(self) -> str:
        """The name without a leading wildcard: what gets validated (RFC 8555 section 7.1.3)."""
        return self.value.removeprefix("*.")

    def __str__(self) -> str:
        return self.value


def parse_identifier(text: str, where: str = "domain") -> Identifier:
    """Read a name as a person types it: ASCII, Unicode, with a leading `*.`, or an IP address.

    Raises InvalidRequest, whose `where` is the field the text came from.
    """
    try:
        return Identifier(IdentifierType.IP, str(ipaddress.ip_address(text)))
    except ValueError:
        return Identifier(IdentifierType.DNS, _ascii(text, where))


def parse_san(text: str, where: str = "san") -> tuple[Identifier, ...]:
    """Read the comma-separated list of additional names; blanks around a name are ignored, a repeat counts once."""
    names = (parse_identifier(part.strip(), where) for part in text.split(",") if part.strip())
    return tuple(dict.fromkeys(names))


def _ascii(text: str, where: str) -> str:
    star, rest = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    if not rest.isascii():
        try:
            rest = idna.encode(rest, uts46=True).decode()
        except (idna.IDNAError, UnicodeError) as error:
            what = f'domain "{text}" is no internationalized name: {error}'
            raise InvalidRequest(f"invalid '{where}' parameter: {what}", where) from error
    wrong = _what_is_wrong(text, star, rest)
    if wrong:
        raise InvalidRequest(f"invalid '{where}' parameter: {wrong}", where)
    return (star + rest).lower()


def _what_is_wrong(text: str, star: str, rest: str) -> str:
    """The Go original's words, since scripts look for them; empty when all is well."""
    if not text:
        return "domain is empty"
    if len(star + rest) > 253:
        return f'domain "{text}" exceeds maximum length of 253 characters'
    if "*" in rest:
        return f'domain "{text}" has a wildcard label in a non-leading position'
    for label in rest.split("."):
        if not label:
            return f'domain "{text}" contains an empty label'
        if len(label) > 63:
            return f'domain "{text}" has a label longer than 63 characters'
        if not _LABEL.fullmatch(label):
            return f'domain "{text}" contains an invalid label "{label}"'
    return ""


def file_safe(domain: str) -> str:
    """The spelling for file names: `*` and `:` mean something to shells and file systems."""
    return domain.replace("*", "_").replace(":", "-")


def outside(names: Iterable[str], globs: Iterable[str]) -> list[str]:
    """Those that no glob covers. A `*` matches any run of characters, dots included; a wildcard name is matched as it
    is written, so that `*.example.com` on a list allows both `www.example.com` and `*.example.com`."""
    patterns = [glob.lower() for glob in globs]
    return [name for name in names if not any(fnmatchcase(name.lower(), pattern) for pattern in patterns)]
