"""The issuer health checker (guide, "Background Workers"): does each CA answer, and is our account there in order?"""

from __future__ import annotations

import structlog
import trio

from acme_manager.errors import AcmeManagerError, DirectoryUnavailable
from acme_manager.ports import Issuer
from acme_manager.services.issuer_findings import IssuerFindings
from acme_manager.services.issuers import Issuers

_log = structlog.get_logger(__name__)

_PATIENCE = 60.0  # seconds for one CA


class IssuerHealth:
    """Asks the CAs on every node. One that is away hinders no other's check, and no other work."""

    def __init__(self, issuers: Issuers, findings: IssuerFindings) -> None:
        self._issuers, self._findings = issuers, findings

    async def check_all(self) -> None:
        """One round: all CAs side by side."""
        async with trio.open_nursery() as nursery:
            for name in self._issuers.names():
                nursery.start_soon(self._check, name, self._issuers.get(name))

    async def _check(self, name: str, issuer: Issuer) -> None:
        error: AcmeManagerError | None = None
        try:
            with trio.fail_after(_PATIENCE):
                await issuer.check()
        except AcmeManagerError as found:
            error = found
        except trio.TooSlowError:
            error = DirectoryUnavailable(f"no answer within {_PATIENCE:g} s")
        if self._issuers.has(name, issuer):  # else it has been replaced meanwhile, and this says nothing of its heir
            before = self._findings.get(name)
            _tell(name, "" if before is None else before.error, self._findings.note(name, error).error)


def _tell(name: str, before: str, now: str) -> None:
    if now and now != before:
        _log.warning("issuer does not work", issuer=name, error=now)
    if before and not now:
        _log.info("issuer works again", issuer=name)
