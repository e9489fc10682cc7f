"""`-account.rollover`: give our account at one CA a new key (RFC 8555 section 7.3.5)."""

from __future__ import annotations

import structlog
import trio
from prometheus_client import CollectorRegistry

from acme_manager.clock import SystemClock
from acme_manager.config.model import Config
from acme_manager.errors import Complaint, ConfigInvalid, IssuerUnavailable
from acme_manager.issuance.issuer import open_issuer
from acme_manager.storage.keys import account_key
from acme_manager.storage.vault import open_vault

_LIMIT = 120.0  # seconds


async def roll_over(config: Config, name: str) -> None:
    """Roll the account key over. Raises ConfigInvalid for an issuer that is not configured, and what the CA's client
    raises; a roll-over that was cut short is finished by the next one."""
    if name not in config.issuers:
        known = ", ".join(config.issuers)
        raise ConfigInvalid(
            "command line", [Complaint("-account.rollover", f"there is no issuer '{name}'; there are: {known}")]
        )
    registry = CollectorRegistry()
    try:
        with trio.fail_after(_LIMIT):
            async with (
                open_vault(config.vault, registry) as storage,
                open_issuer(
                    config.issuers[name],
                    config.common,
                    config.environ,
                    registry,
                    SystemClock(),
                    storage,
                    account_key(config.vault.certificate_prefix, name),
                ) as issuer,
            ):
                await issuer.roll_over()
    except trio.TooSlowError:
        raise IssuerUnavailable(f"issuer '{name}' did not finish within {_LIMIT:g} s; run this again") from None
    structlog.get_logger(__name__).info("account key rolled over", issuer=name)
