"""Keys for signed updates (RFC 8945): from variables or from a file that `tsig-keygen` wrote."""

from __future__ import annotations

import base64
import binascii
import re

import dns.exception
import dns.name
from dns.tsig import HMAC_SHA1, HMAC_SHA224, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, Key

from acme_manager.dns.variables import Variables

_ALGORITHMS = {str(name).rstrip("."): name for name in (HMAC_SHA1, HMAC_SHA224, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512)}
_KEY = re.compile(r'\bkey\s+"?(?P<name>[^\s"{;]+)"?\s*\{(?P<body>[^}]*)\}', re.DOTALL)
_FIELD = re.compile(r'(?P<field>algorithm|secret)\s+"?(?P<value>[^\s";]+)"?\s*;')
_COMMENT = re.compile(r"(?<![^\s;{}])(?://|#)[^\n]*|/\*.*?\*/", re.DOTALL)  # base64 has slashes, too


def read_key(variables: Variables) -> Key | None:
    """The key to sign with, or None if updates go unsigned because its name or its secret is not set."""
    path = variables.text("TSIG_FILE")
    if path:
        return _from_file(variables, path)
    name, secret = variables.text("TSIG_KEY"), variables.text("TSIG_SECRET")
    if not (name and secret):
        return None
    algorithm = variables.text("TSIG_ALGORITHM", "hmac-sha1")
    return _key(variables, ("TSIG_KEY", name), ("TSIG_SECRET", secret), ("TSIG_ALGORITHM", algorithm))


def _from_file(variables: Variables, path: str) -> Key | None:
    before = len(variables.complaints)
    content = variables.file(variables.variable("TSIG_FILE"), path)
    if len(variables.complaints) > before:
        return None
    found = _KEY.search(_COMMENT.sub(" ", content))
    fields = {match["field"]: match["value"] for match in _FIELD.finditer(found["body"])} if found else {}
    if found is None or "secret" not in fields:
        variables.complain("TSIG_FILE", f"'{path}' has no statement: key NAME {{ algorithm ...; secret ...; }};")
        return None
    where = "TSIG_FILE"
    algorithm = fields.get("algorithm", "hmac-sha1")
    return _key(variables, (where, found["name"]), (where, fields["secret"]), (where, algorithm))


def _key(
    variables: Variables, name: tuple[str, str], secret: tuple[str, str], algorithm: tuple[str, str]
) -> Key | None:
    """Each part comes with the variable that it stands in. Never shows the secret."""
    chosen = _ALGORITHMS.get(algorithm[1].rstrip(".").lower())
    if chosen is None:
        variables.complain(
            algorithm[0], f"'{algorithm[1]}' is no TSIG algorithm that we know: {', '.join(_ALGORITHMS)}"
        )
    try:
        octets = base64.b64decode(secret[1], validate=True)
    except (binascii.Error, ValueError):
        octets = b""
    if not octets:
        variables.complain(secret[0], "the secret is not in base64")
    try:
        key_name = dns.name.from_text(name[1].lower())
    except (dns.exception.DNSException, ValueError):
        variables.complain(name[0], f"'{name[1]}' is no name of a key")
        return None
    return Key(key_name, octets, chosen) if chosen and octets else None
