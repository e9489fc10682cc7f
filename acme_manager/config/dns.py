"""`dns_credentials` and `dns_zones`: who writes DNS records with which secrets, and who is asked about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from acme_manager.config import readers
from acme_manager.config.addresses import read_server
from acme_manager.config.readers import Reader
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import InvalidRequest

AUTO = "auto"
"""As `dns_challenge`: whichever credentials are for the zone."""

AUTHORITATIVE, RESOLVERS, NONE = CHECKS = ("authoritative", "resolvers", "none")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SOURCE = "must be file:/PATH, or vault:PATH#FIELD with a path inside the engine"


@attrs.frozen
class SecretSource:
    """Where a value lies: in a file, or in one field of a secret of Vault's. No secret itself."""

    path: str
    field: str = ""  # empty: `path` is a file

    def __str__(self) -> str:
        return f"vault:{self.path}#{self.field}" if self.field else f"file:{self.path}"


@attrs.frozen(kw_only=True)
class DnsCredentials:
    """`dns_credentials.<name>`: the variables of one DNS provider, and for what they are."""

    name: str
    provider: str  # as in dns_challenge
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    env_from: Mapping[str, SecretSource] = attrs.field(factory=dict)  # values that lie elsewhere
    vault: str = ""  # path of a secret whose fields are variables; those above win
    zones: tuple[str, ...] = ()  # what they may be used for; empty: for anything, but only where they are named
    owners: tuple[str, ...] = ()  # globs of who may use them; empty: everybody


@attrs.frozen(kw_only=True)
class DnsZone:
    """`dns_zones.<zone>`: who is asked about names in a zone. What is left out is as for all others."""

    name: str
    check: str = ""  # who must show a record before the CA looks: authoritative, resolvers, none
    resolvers: tuple[tuple[str, int], ...] = ()  # addresses and ports
    servers: tuple[tuple[str, int], ...] = ()  # in the place of those that the zone's NS records name
    wait: float = 0.0  # seconds; above 0: wait that long instead of looking
    timeout: float = 0.0  # seconds within which all must show a record; 0: as the provider has it
    interval: float = 0.0  # seconds, the longest pause between two looks; 0: likewise


def zone_name(text: str) -> str:
    """A zone in our spelling: lower case, no final dot, Unicode as IDNA. Raises ValueError."""
    try:
        identifier = parse_identifier(text.removesuffix("."))
    except InvalidRequest:
        identifier = None
    if identifier is None or identifier.wildcard or identifier.type.value != "dns":
        raise ValueError("must be the name of a zone, like example.com")
    return identifier.value


def _zones(value: Any) -> tuple[str, ...]:
    return tuple(zone_name(readers.text(one)) for one in _list(value))


def _globs(value: Any) -> tuple[str, ...]:
    return tuple(readers.filled(one) for one in _list(value))


def _servers(value: Any) -> tuple[tuple[str, int], ...]:
    return tuple(read_server(readers.text(one)) for one in _list(value))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {readers.kind_of(value)}")
    return value


def _variables(value: Any) -> Mapping[str, str]:
    return {name: readers.text(one) for name, one in _by_variable(value)}


def _sources(value: Any) -> Mapping[str, SecretSource]:
    return {name: _source(readers.text(one)) for name, one in _by_variable(value)}


def _by_variable(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping, lines of 'NAME: value', not {readers.kind_of(value)}")
    for name in value:
        if not _VARIABLE.fullmatch(str(name)):
            raise ValueError("must have names of variables as its keys: letters, digits and _")
    return list(value.items())


def _source(text: str) -> SecretSource:
    kind, _, where = text.partition(":")
    path, _, field = where.rpartition("#")
    if kind == "file" and Path(where).is_absolute() and "\0" not in where:
        return SecretSource(where)
    if kind == "vault" and field and path:
        return SecretSource(readers.store_path(path), field)
    raise ValueError(_SOURCE)


def _check(value: Any) -> str:
    if readers.text(value) not in CHECKS:
        raise ValueError(f"must be one of {', '.join(CHECKS)}")
    return str(value)


READERS: Mapping[type[attrs.AttrsInstance], Mapping[str, Reader]] = {
    DnsCredentials: {
        "provider": readers.filled,
        "env": _variables,
        "env_from": _sources,
        "vault": readers.store_path,
        "zones": _zones,
        "owners": _globs,
    },
    DnsZone: {
        "check": _check,
        "resolvers": _servers,
        "servers": _servers,
        "wait": readers.seconds(1, 3600),
        "timeout": readers.seconds(1, 86400),
        "interval": readers.seconds(0.1, 3600),
    },
}
REMEDIES = {"provider": "the DNS provider that these variables are for, as in dns_challenge"}
NOT_IN_FILE = {DnsCredentials: {"name"}, DnsZone: {"name"}}
