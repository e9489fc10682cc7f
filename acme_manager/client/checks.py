"""Whether services show what is installed here: the `check` of certificates, made after each run."""

from __future__ import annotations

from collections.abc import Collection

import structlog
import trio

from acme_manager.client.layout import paths_of
from acme_manager.client.metrics import ClientMetrics
from acme_manager.client.model import ClientConfig, Wanted
from acme_manager.client.probe import Served, parse_check, probe
from acme_manager.client.report import Look
from acme_manager.ports import Clock
from acme_manager.structure import together

_log = structlog.get_logger(__name__)
_PATIENCE = 10.0  # seconds that a service has after the command that had it reload


async def look_at_services(
    config: ClientConfig, changed: Collection[str], metrics: ClientMetrics, clock: Clock
) -> dict[str, Look]:
    """Make every check that is configured for what is installed; results by identity. `changed` are identities whose
    files have just changed: their services may take a moment."""

    async def one(wanted: Wanted) -> None:
        path = paths_of(config.common, wanted.identity).certificate
        try:
            expected = await trio.to_thread.run_sync(path.read_text)
            patience = _PATIENCE if wanted.identity in changed else 0.0
            served = await probe(parse_check(wanted.check), expected, name=wanted.domain, patience=patience)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            served = Served(ok=False, why=f"what is installed can't be read: {error}")
        if not served.ok:
            _log.warning("not served", certificate=wanted.identity, check=wanted.check, err=served.why)
        metrics.served.labels(wanted.issuer, wanted.name, wanted.domain).set(served.ok)
        found[wanted.identity] = Look(served, clock.now().timestamp())

    found: dict[str, Look] = {}
    if config.common.certificate_dir is not None:
        await together(one, [wanted for wanted in config.certificates if wanted.check], at_once=8)
    return found
