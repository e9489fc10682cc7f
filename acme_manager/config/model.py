"""What can be configured. A field's name is its key in `config.yml`; its comment is its documentation.

Everything is frozen and made of values that need no further reading: numbers of seconds are floats, paths are Paths,
zero in a file that means "the default" has become the default. Secrets never show in a repr.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from acme_manager.config.dns import DnsCredentials, DnsZone
from acme_manager.config.flags import Flags
from acme_manager.config.http_stores import HttpStoreConfig
from acme_manager.config.ui import UiConfig
from acme_manager.domain.budget import Limits, preset_for

__all__ = ["Common", "Config", "DnsConfig", "Flags", "IssuerConfig", "Plugin", "UiConfig", "VaultConfig"]


@attrs.frozen(kw_only=True)
class Plugin:
    """`common.plugins[]`: a foreign program that we may run (guide, "Plugin System")."""

    name: str
    path: Path
    checksum: str = ""  # SHA-256 in hex; may be empty only with -allow-unverified-plugins
    type: str = "dns"  # dns: a provider for dns_challenge; hook: run before every order (docs/plugin-protocol.md)
    timeout: float = 30.0
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    user: str = ""  # to run as; empty: as the server does
    limits: Mapping[str, int] = attrs.field(factory=dict)  # resource limits by their names in setrlimit(2): nofile, as


@attrs.frozen(kw_only=True)
class Common:
    """`common`."""

    api_key_hash: str = attrs.field(default="", repr=False)  # hex SHA-256 (or a legacy SHA-1) of the admin API key
    cert_days_renewal: str = "20-30"
    cert_timeout: float = 240.0  # bound of a whole issuance, in seconds
    renewal_windows: tuple[str, ...] = ()  # when renewals are welcome (domain/calendar.py); empty: always
    renewal_freezes: tuple[str, ...] = ()  # when they are not
    renewal_timezone: str = "UTC"  # of both
    rootpath_account: Path | None = None
    rootpath_certificate: Path | None = None
    plugins: tuple[Plugin, ...] = ()
    http_client_retry_max: int = 5
    http_client_retry_wait_min: float = 1.0
    http_client_retry_wait_max: float = 10.0
    http_client_retry_status_code: tuple[int, ...] = ()
    http_client_debug: bool = False
    rate_limit_enabled: bool = False
    rate_limit_window: float = 3600.0
    rate_limit_max_requests: int = 1
    ring_keys: tuple[str, ...] = attrs.field(default=(), repr=False)  # base64; the first encrypts, all decrypt
    experimental: bool = False  # challenges of drafts: dns-account-01, dns-persist-01
    server_managed_keys: bool = True  # false: a request without a CSR is refused


@attrs.frozen(kw_only=True)
class IssuerConfig:
    """`issuer.<name>`: one CA and our account there."""

    name: str
    ca_dir_url: str
    contact: str = ""
    eab: bool = False
    kid: str = ""
    hmac: str = attrs.field(default="", repr=False)
    dns_challenge: str = ""
    http_challenge: str = ""
    http_challenge_config: HttpStoreConfig | None = None  # docs/http-01.md; None where nothing is to be set
    overall_request_limit: int = 18  # requests per second to this CA
    certificate_timeout: float = 30.0  # how long to wait for the certificate once the order is finalized
    unregister: bool = False
    ca_bundle: Path | None = None  # PEM; trusted for this CA in addition to the system's roots
    max_orders: int = 8  # orders in flight at once
    preferred_chain: str = ""  # common name of the issuer at the top of the chain to prefer
    fallback: tuple[str, ...] = ()  # issuers that stand in while this one can't, in their order
    limits: Limits = attrs.field(  # the CA's rate limits, which we stay below
        default=attrs.Factory(lambda self: preset_for(urlsplit(self.ca_dir_url).hostname or ""), takes_self=True)
    )


@attrs.frozen(kw_only=True)
class VaultConfig:
    """`storage.vault`."""

    url: str
    role_id: str = attrs.field(repr=False)
    secret_id: str = attrs.field(repr=False)
    secret_engine: str
    certificate_prefix: str
    token_prefix: str = "token"  # noqa: S105 a path, not a secret
    mount_path: str = "approle"
    retry_max: int = 3
    retry_wait_min: float = 1.0
    retry_wait_max: float = 10.0
    ca_file: Path | None = None
    namespace: str = ""  # from VAULT_NAMESPACE


@attrs.frozen(kw_only=True)
class DnsConfig:
    """How DNS is asked: the `ACME_MANAGER_DNS_*` variables of the environment or `.env`, and `dns_zones`."""

    resolvers: tuple[tuple[str, int], ...] = ()  # addresses and ports; empty: /etc/resolv.conf
    timeout: float = 10.0
    propagation_wait: float = 0.0  # above 0: wait that long instead of looking
    ask_authoritative: bool = True
    ask_resolvers: bool = False
    follow_cname: bool = True
    authoritative_port: int = 53  # where the zones' own name servers listen
    zones: Mapping[str, DnsZone] = attrs.field(factory=dict)  # what is otherwise in some zones


@attrs.frozen(kw_only=True)
class Config:
    """A whole configuration: `config.yml` and the environment it was read with."""

    common: Common
    issuers: Mapping[str, IssuerConfig]
    vault: VaultConfig
    dns: DnsConfig = attrs.field(factory=DnsConfig)
    dns_credentials: Mapping[str, DnsCredentials] = attrs.field(factory=dict)
    ui: UiConfig = attrs.field(factory=UiConfig)
    environ: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # process environment over `.env`
    digest: str = attrs.field(default="", eq=False)  # SHA-256 of the file in hex
