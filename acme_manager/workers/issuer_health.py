"""The issuer health checker (guide, "Background Workers"): does each CA answer, and is our account there in order?"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
import trio

from acme_manager.errors import AcmeManagerError
from acme_manager.services.issuers import Issuers

_log = structlog.get_logger(__name__)

_PATIENCE = 60.0  # seconds for one CA


class IssuerHealth:
    """Keeps the last finding about each issuer. A CA that is away hinders no other's check, and no other work."""

    def __init__(self, issuers: Issuers) -> None:
        self._issuers = issuers
        self._findings: dict[str, str | None] = {}

    def report(self) -> Mapping[str, str | None]:
        """By issuer: None, or what was wrong when it was last asked."""
        return dict(self._findings)

    async def check_all(self) -> None:
        """One round: all CAs side by side."""
        async with trio.open_nursery() as nursery:
            for name in self._issuers.names():
                nursery.start_soon(self._check, name)

    async def _check(self, name: str) -> None:
        wrong = None
        try:
            with trio.fail_after(_PATIENCE):
                await self._issuers.get(name).check()
        except AcmeManagerError as error:
            wrong = str(error)
        except trio.TooSlowError:
            wrong = f"no answer within {_PATIENCE:g} s"
        if wrong and wrong != self._findings.get(name):
            _log.warning("issuer does not work", issuer=name, error=wrong)
        if wrong is None and self._findings.get(name):
            _log.info("issuer works again", issuer=name)
        self._findings[name] = wrong
