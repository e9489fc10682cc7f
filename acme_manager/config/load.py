"""Reading a configuration: everything or nothing, with every complaint at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs

from acme_manager.config import checks
from acme_manager.config.dns import DnsCredentials, DnsZone, zone_name
from acme_manager.config.document import Document, Steps, read_document
from acme_manager.config.environment import read_dns, with_vault_variables
from acme_manager.config.model import Common, Config, IssuerConfig, UiConfig, VaultConfig
from acme_manager.config.readers import kind_of
from acme_manager.config.schema import Problem, structure, unknown_key
from acme_manager.errors import ConfigInvalid

T = TypeVar("T", bound=attrs.AttrsInstance)

_SECTIONS = ("common", "issuer", "storage", "dns_credentials", "dns_zones", "ui")


def load(config_path: str | Path, environ: Mapping[str, str], *, allow_unverified_plugins: bool = False) -> Config:
    """Read `config.yml` and the settings among the variables. Raises ConfigInvalid with everything that is wrong.

    It keeps no state, and reads the files that the configuration names (plugins, CA bundles) but writes none.
    """
    reading = _Reading(read_document(Path(config_path)))
    top = reading.mapping((), reading.document.content, _SECTIONS)
    common = reading.section(
        ("common",),
        top.get("common"),
        Common,
        lambda raw: checks.common(raw, allow_unverified_plugins=allow_unverified_plugins),
    )
    issuers = _issuers(reading, top.get("issuer"))
    storage = reading.mapping(("storage",), top.get("storage"), ("vault",))
    vault = reading.section(("storage", "vault"), storage.get("vault"), VaultConfig, checks.vault)
    credentials = _named(reading, "dns_credentials", top.get("dns_credentials"), DnsCredentials, checks.dns_credentials)
    zones = _named(reading, "dns_zones", top.get("dns_zones"), DnsZone, checks.dns_zone)
    ui = reading.section(("ui",), top.get("ui"), UiConfig, checks.ui)
    dns = read_dns(environ, reading.complaints)
    if vault is not None:
        vault = with_vault_variables(vault, environ, reading.complaints)
    if reading.complaints or common is None or vault is None or ui is None:
        raise ConfigInvalid(str(config_path), reading.complaints)
    return Config(
        common=common,
        issuers=issuers,
        vault=vault,
        dns=attrs.evolve(dns, zones={zone_name(name): zone for name, zone in zones.items()}),
        dns_credentials=credentials,
        ui=ui,
        environ=dict(environ),
        digest=reading.document.digest,
    )


def _issuers(reading: _Reading, raw: Any) -> dict[str, IssuerConfig]:
    if raw is None or raw == {}:
        reading.complain(("issuer",), "is empty: configure at least one CA below it, like letsencrypt")
    named = raw if isinstance(raw, dict) else {}
    return _named(reading, "issuer", raw, IssuerConfig, lambda name, inner: checks.issuer(name, inner, named))


def _named(
    reading: _Reading,
    section: str,
    raw: Any,
    kind: type[T],
    check: Callable[[str, dict[Any, Any]], Iterable[Problem]],
) -> dict[str, T]:
    """Sections of one kind, each with a name of its own."""
    found = {}
    for name, inner in reading.mapping((section,), raw, None).items():
        steps: Steps = (section, str(name))
        if not isinstance(name, str):
            reading.complain(steps, f"must be text, but YAML reads it as {kind_of(name)}: put it in quotes")
            continue
        value = reading.section(steps, inner, kind, partial(check, name), name=name)
        if value is not None:
            found[name] = value
    return found


class _Reading:
    """One file being read: what it says, and what is wrong with it so far."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.complaints = list(document.doubled)

    def complain(self, steps: Steps, message: str) -> None:
        self.complaints.append(self.document.complaint(steps, message))

    def mapping(self, steps: Steps, raw: Any, known: Iterable[str] | None) -> dict[Any, Any]:
        """A mapping with these keys, or with any; an absent one is empty."""
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            self.complain(steps, f"must be a mapping, lines of 'key: value', not {kind_of(raw)}")
            return {}
        if known is not None:
            for key in raw.keys() - set(known):
                self.complain((*steps, str(key)), unknown_key(key, known))
        return raw

    def section(
        self,
        steps: Steps,
        raw: Any,
        section: type[T],
        check: Callable[[dict[Any, Any]], Iterable[Problem]],
        **known: str,
    ) -> T | None:
        """One section and what is wrong with it; an absent one is like an empty one."""
        raw = {} if raw is None else raw
        value, problems = structure(raw, section, **known)
        if isinstance(raw, dict):
            problems.extend(check(raw))
        for inner, message in problems:
            self.complain((*steps, *inner), message)
        return None if problems else value
