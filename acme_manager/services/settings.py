"""The configuration that counts now: it may be replaced while the node runs, so nobody keeps a part of it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from acme_manager.config.model import Common, Config, DnsConfig, IssuerConfig, VaultConfig


@attrs.define
class Settings:
    """Read what you need at the moment you need it; `config` changes as a whole, in one step.

    `refused` is what is wrong with the files, where they say something else that can't be applied; `postponed` is what
    of them waits for a restart. One of them at most is not empty.
    """

    config: Config
    refused: str = ""
    postponed: str = ""

    def go_by(self, config: Config) -> None:
        """From now on this counts."""
        self.config = config

    @property
    def common(self) -> Common:
        """`common`."""
        return self.config.common

    @property
    def issuers(self) -> Mapping[str, IssuerConfig]:
        """`issuer.<name>`, by name."""
        return self.config.issuers

    @property
    def vault(self) -> VaultConfig:
        """`storage.vault`."""
        return self.config.vault

    @property
    def dns(self) -> DnsConfig:
        """The `ACME_MANAGER_DNS_*` variables."""
        return self.config.dns

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables of the process over those of `.env`."""
        return self.config.environ
