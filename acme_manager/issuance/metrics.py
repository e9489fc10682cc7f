"""What we count about CAs."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import attrs
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


@attrs.frozen(kw_only=True)
class IssuanceMetrics:
    """Every metric of this package. `issuer` is the name in the configuration."""

    requests: Counter  # issuer, status: an HTTP status, or `error` when none came
    orders: Counter  # issuer, outcome: issued, failed, rate_limited, unavailable, cancelled
    in_flight: Gauge  # issuer
    duration: Histogram  # issuer

    def forget(self, issuer: str) -> None:
        """Show nothing any more of an issuer that is no longer configured."""
        for metric in (self.requests, self.orders, self.in_flight, self.duration):
            metric.remove_by_labels({"issuer": issuer})

    def seconds_per_order(self, issuer: str) -> float | None:
        """The mean of the orders that led to a certificate; None before the first."""
        samples = (one for metric in self.duration.collect() for one in metric.samples)
        sums = {one.name.rpartition("_")[2]: one.value for one in samples if one.labels.get("issuer") == issuer}
        return sums["sum"] / sums["count"] if sums.get("count") else None

    @classmethod
    def on(cls, registry: CollectorRegistry) -> IssuanceMetrics:
        """The metrics on a registry: made at the first call, the same ones at every other."""
        found = _made.get(registry)
        if found is None:
            found = _made[registry] = cls(
                requests=Counter(
                    "acme_manager_issuer_requests", "Requests to a CA", ["issuer", "status"], registry=registry
                ),
                orders=Counter(
                    "acme_manager_issuer_orders", "Orders that came to an end", ["issuer", "outcome"], registry=registry
                ),
                in_flight=Gauge(
                    "acme_manager_issuer_orders_in_flight", "Orders under way", ["issuer"], registry=registry
                ),
                duration=Histogram(
                    "acme_manager_issuer_order_duration_seconds",
                    "From placing an order to its certificate",
                    ["issuer"],
                    registry=registry,
                    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
                ),
            )
        return found


_made: WeakKeyDictionary[CollectorRegistry, IssuanceMetrics] = WeakKeyDictionary()
