"""What dns-01 counts and measures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio
from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class DnsMetrics:
    """Labels: `provider` as in `dns_challenge`; `action` is put or remove; `outcome` is ok or failed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.changes = Counter(
            "acme_manager_dns_record_changes_total",
            "TXT records written and removed for dns-01 challenges.",
            ["provider", "action", "outcome"],
            registry=registry,
        )
        self.change_seconds = Histogram(
            "acme_manager_dns_record_change_seconds",
            "Time that a DNS provider took to write or remove one record.",
            ["provider", "action"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.propagation_seconds = Histogram(
            "acme_manager_dns_propagation_seconds",
            "Time from the last record of an order being written until every server that is asked showed all of them.",
            ["provider", "outcome"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.left_behind = Counter(
            "acme_manager_dns_records_left_behind_total",
            "TXT records that could not be removed after a validation.",
            ["provider"],
            registry=registry,
        )

    @contextmanager
    def change(self, provider: str, action: str) -> Iterator[None]:
        """Count and time the change of one record."""
        began, outcome = trio.current_time(), "failed"
        try:
            yield
            outcome = "ok"
        finally:
            self.changes.labels(provider, action, outcome).inc()
            self.change_seconds.labels(provider, action).observe(trio.current_time() - began)
