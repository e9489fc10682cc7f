"""What `client-config.yml` can say. A field's name is its key; its comment is its documentation.

The keys of the Go original keep their names, defaults and meaning.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path

import attrs

from acme_manager.config.model import VaultConfig
from acme_manager.domain.certificate import Certificate


@attrs.frozen(kw_only=True)
class Listed(Certificate):
    """A certificate in the server's list. `new_key_wanted`: an operation replaces its key, and waits for ours."""

    new_key_wanted: bool = False


class Format(enum.StrEnum):
    """What is made of a certificate besides its PEM files."""

    FULLCHAIN = "fullchain"  # certificate and chain
    COMBINED = "combined"  # key, certificate and chain in one file, as HAProxy wants it
    PKCS12 = "pkcs12"
    JKS = "jks"
    DER = "der"


class KeyRenewal(enum.StrEnum):
    """What becomes of the private key when a certificate is made anew."""

    KEEP = "keep"  # as the Go original does, and as DANE's TLSA records want it
    RENEW = "renew"


@attrs.frozen(kw_only=True)
class Wanted:
    """`certificate[]`: one certificate that this host is to have."""

    domain: str
    issuer: str
    name: str = ""
    bundle: bool = False
    san: str = ""
    days: int = 0
    renewal_days: str = ""
    dns_challenge: str = ""
    http_challenge: str = ""
    key_type: str = ""
    labels: str = ""
    profile: str = ""
    formats: tuple[Format, ...] = ()
    format_password: str = attrs.field(default="", repr=False)  # of PKCS#12 and JKS
    key_renewal: KeyRenewal = KeyRenewal.KEEP
    owner: str = ""  # of the files; empty: whoever the agent runs as
    group: str = ""
    check: str = ""  # host:port[/protocol] that is to serve it after the post command
    post_cmd_run: str = ""  # after a change of this one, besides common.post_cmd_run
    rollback: bool = False  # go back to the version before when the post command fails

    @property
    def identity(self) -> str:
        """The same as the server's, without the owner: the name, or issuer and domain."""
        return self.name or f"{self.issuer}/{self.domain}"


@attrs.frozen(kw_only=True)
class Common:
    """`common`."""

    cert_days: int = 0
    cert_days_renewal: str = "20-30"
    certificate_backup: bool = False  # copy certificate and key to Vault
    certificate_deploy: bool = False  # keep files on this host
    certificate_dir: Path | None = None
    certificate_dir_perm: int = 0o700
    certificate_file_perm: int = 0o600
    certificate_keyfile_perm: int = 0o600
    certificate_file_ext: str = ".crt"
    certificate_keyfile_ext: str = ".key"
    certificate_ca_file_ext: str = ".ca.crt"
    certificate_keyfile_no_generate: bool = False  # a key must be there already
    certificate_timeout: float = 270.0  # seconds for a request that waits for the CA
    cmd_enabled: bool = False
    cmd_shell: bool = False  # run commands by /bin/sh instead of as an argument list
    pre_cmd_run: str = ""
    pre_cmd_timeout: float = 60.0
    post_cmd_run: str = ""
    post_cmd_timeout: float = 60.0
    revoke_on_update: bool = False
    revoke_on_delete: bool = False
    delay_before_delete: float = 0.0  # seconds
    http_client_retry_max: int = 4
    http_client_retry_wait_min: float = 1.0
    http_client_retry_wait_max: float = 30.0
    http_client_retry_status_code: tuple[int, ...] = ()
    http_client_debug: bool = False


@attrs.frozen(kw_only=True)
class ClientConfig:
    """The whole file."""

    common: Common = attrs.field(factory=Common)
    certificates: tuple[Wanted, ...] = ()
    vault: VaultConfig | None = None

    @property
    def wanted(self) -> Mapping[str, Wanted]:
        """The certificates by identity."""
        return {one.identity: one for one in self.certificates}
