"""What is known of each CA's health: found by workers/issuer_health.py, shown by the API, `/ready` and a metric."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs
from prometheus_client import CollectorRegistry, Gauge

from acme_manager.errors import AcmeManagerError, DirectoryUnavailable
from acme_manager.ports import Clock


@attrs.frozen(kw_only=True)
class IssuerFinding:
    """What the last look at one CA found. Instants are in UTC."""

    error: str = ""  # what is wrong, in a sentence; empty when nothing is
    directory: bool  # whether the CA's directory could be read
    since: datetime  # when it began to be as it is: in order, or not
    checked_at: datetime
    last_success: datetime | None  # None: never in the life of this process, or of this configuration of the issuer

    @property
    def ok(self) -> bool:
        """Whether the CA answers and our account there is in order."""
        return not self.error


class IssuerFindings:
    """One finding per configured issuer that has been looked at."""

    def __init__(self, clock: Clock, registry: CollectorRegistry) -> None:
        self._clock = clock
        self._findings: dict[str, IssuerFinding] = {}
        self._gauge = Gauge(
            "acme_manager_issuer_config_error",
            "1 while the CA or our account there can't be used",
            ["issuer"],
            registry=registry,
        )

    def get(self, issuer: str) -> IssuerFinding | None:
        """None for an issuer that has not been looked at yet."""
        return self._findings.get(issuer)

    def all(self) -> Mapping[str, IssuerFinding]:
        """Each issuer's, by name."""
        return dict(sorted(self._findings.items()))

    def note(self, issuer: str, error: AcmeManagerError | None) -> IssuerFinding:
        """Take down what a look has found: what went wrong, or None."""
        at, before, ok = self._clock.now(), self._findings.get(issuer), error is None
        last_success = before.last_success if before else None
        finding = IssuerFinding(
            error="" if error is None else str(error),
            directory=not isinstance(error, DirectoryUnavailable),
            since=before.since if before and before.ok is ok else at,
            checked_at=at,
            last_success=at if ok else last_success,
        )
        self._findings[issuer] = finding
        self._gauge.labels(issuer).set(0 if finding.ok else 1)
        return finding

    def forget(self, issuer: str) -> None:
        """Of an issuer that is configured no more, or otherwise than before, nothing is known."""
        if self._findings.pop(issuer, None) is not None:
            self._gauge.remove(issuer)
