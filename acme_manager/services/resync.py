"""What a look through storage has found, as a value and as metrics."""

from __future__ import annotations

import attrs
from prometheus_client import CollectorRegistry, Counter, Gauge


@attrs.define(kw_only=True)
class Resync:
    """One look: how much there is in storage, what of it the shared map did not know, and how long it took.

    Certificates are named by their keys (`owner/issuer/domain`, `owner/name`), tokens by their ids.
    """

    certificates: int = 0
    tokens: int = 0
    certificates_changed: list[str] = attrs.field(factory=list)  # new ones too
    certificates_gone: list[str] = attrs.field(factory=list)
    tokens_changed: list[str] = attrs.field(factory=list)
    tokens_gone: list[str] = attrs.field(factory=list)
    seconds: float = 0.0


class ResyncMetrics:
    """Looks that ended well, on the node that did them as the leader."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "acme_manager_storage_resync"
        self._last = Gauge(
            f"{prefix}_last_success_timestamp_seconds",
            "When this node, as the leader, last compared the shared map with all there is in storage",
            registry=registry,
        )
        self._seconds = Gauge(f"{prefix}_duration_seconds", "How long that took", registry=registry)
        self._found = Gauge(f"{prefix}_secrets", "How many secrets it looked at", ["kind"], registry=registry)
        self._changes = Counter(
            f"{prefix}_changes",
            "What storage had and the shared map did not, or the other way round",
            ["kind", "change"],
            registry=registry,
        )

    def note(self, done: Resync) -> None:
        """A look has ended well."""
        self._last.set_to_current_time()
        self._seconds.set(done.seconds)
        self._found.labels("certificate").set(done.certificates)
        self._found.labels("token").set(done.tokens)
        for kind, change, keys in (
            ("certificate", "changed", done.certificates_changed),
            ("certificate", "gone", done.certificates_gone),
            ("token", "changed", done.tokens_changed),
            ("token", "gone", done.tokens_gone),
        ):
            self._changes.labels(kind, change).inc(len(keys))
