"""Settings that come from variables: `ACME_MANAGER_DNS_*`, `LEGO_DISABLE_CNAME_SUPPORT`, `VAULT_*`.

What the Go original silently replaces by a default is a complaint here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import attrs

from acme_manager.config import readers
from acme_manager.config.addresses import read_port, read_server
from acme_manager.config.model import DnsConfig, VaultConfig
from acme_manager.errors import Complaint

_PREFIX = "ACME_MANAGER_DNS_"

T = TypeVar("T")


def read_dns(environ: Mapping[str, str], complaints: list[Complaint]) -> DnsConfig:
    """Read the DNS settings; what is wrong is added to `complaints` and has its default in the answer."""
    defaults = DnsConfig()
    reader = _Reader(environ, complaints)
    propagation_wait = reader.read(_PREFIX + "PROPAGATIONWAIT", _whole(0, 3600), defaults.propagation_wait)
    disable_ans = reader.read(_PREFIX + "PROPAGATIONDISABLEANS", readers.go_boolean, default=False)
    ask_resolvers = reader.read(_PREFIX + "PROPAGATIONRNS", readers.go_boolean, default=False)
    if propagation_wait and (disable_ans or ask_resolvers):
        complaints.append(
            Complaint(
                _PREFIX + "PROPAGATIONWAIT",
                f"replaces every check: remove it, or {_PREFIX}PROPAGATIONDISABLEANS and {_PREFIX}PROPAGATIONRNS",
            )
        )
    return DnsConfig(
        resolvers=reader.read(_PREFIX + "RESOLVERS", _servers, defaults.resolvers, file=False),
        timeout=reader.read(_PREFIX + "TIMEOUT", _whole(1, 300), defaults.timeout),
        propagation_wait=propagation_wait,
        ask_authoritative=not disable_ans,
        ask_resolvers=ask_resolvers,
        follow_cname=not reader.read("LEGO_DISABLE_CNAME_SUPPORT", readers.go_boolean, default=False, file=False),
        authoritative_port=reader.read(_PREFIX + "AUTHORITATIVE_PORT", read_port, defaults.authoritative_port),
    )


def with_vault_variables(vault: VaultConfig, environ: Mapping[str, str], complaints: list[Complaint]) -> VaultConfig:
    """Add the variables of Vault's own clients; the file's `ca_file` wins over `VAULT_CACERT`."""
    reader = _Reader(environ, complaints)
    ca_file = vault.ca_file or reader.read("VAULT_CACERT", readers.certificates, None, file=False)
    return attrs.evolve(vault, ca_file=ca_file, namespace=environ.get("VAULT_NAMESPACE", "").strip().strip("/"))


@attrs.frozen
class _Reader:
    environ: Mapping[str, str]
    complaints: list[Complaint]

    def read(self, name: str, parse: Callable[[str], T], default: T, *, file: bool = True) -> T:
        """A variable, else the content of the file that `NAME_FILE` names, else the default."""
        try:
            if text := self.environ.get(name, "").strip():
                return parse(text)
            if file and (path := self.environ.get(f"{name}_FILE", "")):
                name = f"{name}_FILE"
                return parse(_content(path))
        except ValueError as error:
            self.complaints.append(Complaint(name, str(error)))
        return default


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"names a file that can't be read: {error.strerror}") from None


def _whole(low: int, high: int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise ValueError(f"must be a whole number of seconds between {low} and {high}, without a unit")
        return float(text)

    return parse


def _servers(text: str) -> tuple[tuple[str, int], ...]:
    """`address[:port]`, separated by commas; an IPv6 address with a port is in brackets."""
    return tuple(read_server(part.strip()) for part in text.split(",") if part.strip())
