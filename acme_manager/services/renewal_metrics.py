"""What is counted about renewals, and the leader's line in the log about them."""

from __future__ import annotations

from collections import Counter as Tally

import attrs
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from acme_manager.domain.causes import Cause
from acme_manager.metrics import PREFIX

_log = structlog.get_logger(__name__)


@attrs.define(eq=False)
class RenewalMetrics:
    """Counted by the node that leads; the gauges of any other are zero."""

    due: Gauge
    deferred: Gauge  # issuer
    renewals: Counter  # issuer
    failures: Counter  # issuer, cause
    _causes: Tally[str] = attrs.field(factory=Tally, init=False)
    _renewed: int = attrs.field(default=0, init=False)

    @classmethod
    def on(cls, registry: CollectorRegistry) -> RenewalMetrics:
        """Register them."""
        return cls(
            Gauge(f"{PREFIX}_renewals_due", "Certificates whose renewal is due, or under way", registry=registry),
            Gauge(
                f"{PREFIX}_renewals_deferred",
                "Due certificates that wait for room within the limits of their CA",
                ["issuer"],
                registry=registry,
            ),
            Counter(f"{PREFIX}_renewals", "Renewals that ended well", ["issuer"], registry=registry),
            Counter(
                f"{PREFIX}_renewal_failures", "Renewals that failed, by cause", ["issuer", "cause"], registry=registry
            ),
        )

    def renewed(self, issuer: str) -> None:
        """A certificate has been renewed."""
        self.renewals.labels(issuer).inc()
        self._renewed += 1

    def failed(self, issuer: str, cause: Cause) -> None:
        """A renewal has failed."""
        self.failures.labels(issuer, cause.name).inc()
        self._causes[cause.name] += 1

    def summarize(self, *, certificates: int, due: int, deferred: int) -> None:
        """Log what has happened since the last time, if anything has, with the failures by cause."""
        if self._renewed or self._causes or due:
            causes = {f"failed_{name}": count for name, count in sorted(self._causes.items())}
            facts = {"renewed": self._renewed, "failed": self._causes.total(), **causes}
            _log.info("renewals", certificates=certificates, due=due, deferred=deferred, **facts)
        self._causes.clear()
        self._renewed = 0
