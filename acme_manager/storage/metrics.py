"""What we count about the store. The names are the guide's (section "Prometheus Metrics")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import attrs
from prometheus_client import CollectorRegistry, Counter


@attrs.frozen
class Outcomes:
    """How often one kind of operation went well and how often it did not."""

    success: Counter
    failed: Counter

    @contextmanager
    def count(self) -> Iterator[None]:
        """Count what the block does: success, or failure when it raises. A cancelled one counts neither way."""
        try:
            yield
        except Exception:
            self.failed.inc()
            raise
        self.success.inc()


@attrs.frozen(kw_only=True)
class StorageMetrics:
    """Counters of the Vault adapter. Finding nothing is a success; destroying and purging count as deleting.

    Operations on secrets are counted twice: by the guide's names, and by those of later versions of the Go original.
    """

    secrets: Mapping[str, Outcomes]  # by operation: get, put, delete
    by_type: Counter  # secret_type: certificate, token, unknown; operation; status: success, failed
    logins: Outcomes
    retries: Counter

    @contextmanager
    def secret(self, operation: str, secret_type: str) -> Iterator[None]:
        """Count what the block does, as Outcomes.count does."""
        try:
            with self.secrets[operation].count():
                yield
        except Exception:
            self.by_type.labels(secret_type, operation, "failed").inc()
            raise
        self.by_type.labels(secret_type, operation, "success").inc()

    @classmethod
    def register(cls, registry: CollectorRegistry) -> StorageMetrics:
        """Create the counters in a registry that has none of them yet."""

        def counter(name: str, help_text: str) -> Counter:
            return Counter(f"acme_manager_vault_{name}", help_text, registry=registry)

        def outcomes(name: str, what: str) -> Outcomes:
            return Outcomes(
                success=counter(f"{name}_success", f"{what} that went well."),
                failed=counter(f"{name}_failed", f"{what} that failed."),
            )

        return cls(
            secrets={
                "get": outcomes("get_secret", "Reads of secrets in Vault"),
                "put": outcomes("put_secret", "Writes of secrets to Vault"),
                "delete": outcomes("delete_secret", "Deletions of secrets in Vault"),
            },
            by_type=Counter(
                "acme_manager_vault_secret_operations",
                "Operations on secrets in Vault.",
                ["secret_type", "operation", "status"],
                registry=registry,
            ),
            logins=outcomes("login", "AppRole logins at Vault"),
            retries=counter("request_retries", "Requests to Vault that were repeated after a passing failure."),
        )
