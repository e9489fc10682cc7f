"""What differs between two configurations, by the paths of keys; values of secrets are never told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from acme_manager.config.model import Config

_ABSENT = object()

RESTART = frozenset(
    {
        "common.rootpath_certificate",  # certificates that storage could not take yet lie there
        # Everything that is kept, and the fence that says who leads, is there; clients and roots are made at the start.
        "storage.vault.url",
        "storage.vault.namespace",
        "storage.vault.secret_engine",
        "storage.vault.certificate_prefix",
        "storage.vault.token_prefix",
        "storage.vault.ca_file",
    }
)
"""Keys that are read at the start of a node and never again."""


@attrs.frozen
class Change:
    """One key, or variable, that is there in one configuration only, or has another value in the other."""

    path: str  # as in complaints: common.cert_timeout, issuer.le.hmac; a variable is its own path
    what: str  # `240 -> 300`, or of a secret and of a whole section: added, removed, changed

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def changes(old: Config, new: Config) -> list[Change]:
    """Every difference, in the order of paths."""
    found = [
        *_fields("common", old.common, new.common),
        *_named("issuer.", old.issuers, new.issuers),
        *_fields("storage.vault", old.vault, new.vault),
        *_fields("dns", *(attrs.evolve(one.dns, zones={}) for one in (old, new))),  # made of variables and their files
        *_named("dns_zones.", old.dns.zones, new.dns.zones),
        *_named("dns_credentials.", old.dns_credentials, new.dns_credentials),
        *_fields("ui", old.ui, new.ui),
        *_named("", old.environ, new.environ),
    ]
    return sorted(found, key=lambda change: change.path)


def _fields(path: str, old: attrs.AttrsInstance, new: attrs.AttrsInstance) -> Iterator[Change]:
    for field in attrs.fields(type(new)):
        yield from _difference(
            f"{path}.{field.name}", getattr(old, field.name), getattr(new, field.name), secret=not field.repr
        )


def _named(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in old.keys() | new.keys():
        yield from _difference(prefix + name, old.get(name, _ABSENT), new.get(name, _ABSENT), secret=True)


def _difference(path: str, old: Any, new: Any, *, secret: bool) -> Iterator[Change]:
    if old == new:
        return
    if attrs.has(type(old)) or attrs.has(type(new)):
        old, new = (_ABSENT if one is None else one for one in (old, new))  # a section that is not there
    if old is _ABSENT or new is _ABSENT:
        yield Change(path, "added" if old is _ABSENT else "removed")
    elif attrs.has(type(old)) and type(old) is type(new):
        yield from _fields(path, old, new)
    elif _are_named(old) and _are_named(new):
        yield from _named(f"{path}.", {one.name: one for one in old}, {one.name: one for one in new})
    else:
        yield Change(path, "changed" if secret or isinstance(new, Mapping) else f"{_text(old)} -> {_text(new)}")


def _are_named(value: Any) -> bool:
    """Whether it is a list of sections that have a name each (`common.plugins`)."""
    return isinstance(value, tuple) and all(attrs.has(type(one)) and hasattr(one, "name") for one in value)


def _text(value: Any) -> str:
    match value:
        case None | "" | ():
            return "none"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple():
            return ", ".join(map(_text, value))
        case _:
            return str(value)
