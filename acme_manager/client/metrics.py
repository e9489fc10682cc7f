"""What the agent counts: under the names of the guide, and under those of the Go original's later versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from acme_manager.domain.certificate import Certificate, split_labels
from acme_manager.domain.gotime import parse_time
from acme_manager.metrics import PREFIX
from acme_manager.storage.metrics import StorageMetrics

FULL, PULL = 1, 2
_DAY = 86400.0


class ClientMetrics:
    """All of them, on one registry."""

    def __init__(self, registry: CollectorRegistry, now: Callable[[], datetime]) -> None:
        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", help, labels, registry=registry)

        def gauge(name: str, help: str, *labels: str) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", help, labels, registry=registry)

        self.created = counter("local_certificate_created_total", "Certificates that the agent had made and keeps here")
        self.deleted = counter("local_certificate_deleted_total", "Certificates that the agent deleted")
        self.operations = counter("local_certificate_operations_total", "The same by issuer", "issuer", "operation")
        self.commands_ok = counter("local_cmd_run_success_total", "Commands that succeeded")
        self.commands_failed = counter("local_cmd_run_failed_total", "Commands that failed or took too long")
        self.commands = counter("local_cmd_run_total", "The same by program", "command", "status")
        self.rollbacks = counter("local_certificate_rollbacks_total", "Returns to the version before a failed command")
        self.installed = counter("local_certificate_installed_total", "Versions of certificates installed")
        self.steps = counter("local_steps_total", "Steps of runs by what they do", "action", "status")
        self.config_error = gauge("certificate_config_error", "1 while the configuration file can't be used")
        self.role = gauge("client_role", "1 in full mode, 2 in pull mode")
        self.server_unknown = gauge("client_server_unreachable", "1 while no server gives the list of certificates")
        self.last_run = gauge("client_last_run_timestamp_seconds", "When a run last found everything right")
        self.served = gauge(
            "local_certificate_served",
            "1 for a certificate that its check finds served, 0 for one that it does not",
            "issuer",
            "name",
            "domain",
        )
        self.mismatch = gauge(
            "local_certificate_metadata_mismatch",
            "1 for a certificate whose content is not what the server's metadata says",
            "issuer",
            "name",
            "domain",
        )
        self.storage = StorageMetrics.register(registry)
        self.expiry = _Expiry(now)
        registry.register(self.expiry)

    def operation(self, issuer: str, operation: str) -> None:
        """Count a creation or deletion."""
        (self.created if operation == "created" else self.deleted).inc()
        self.operations.labels(issuer, operation).inc()

    def command(self, program: str, *, succeeded: bool) -> None:
        """Count a command that was run."""
        (self.commands_ok if succeeded else self.commands_failed).inc()
        self.commands.labels(program, "success" if succeeded else "failed").inc()


class _Expiry(Collector):
    """Days until certificates expire. Users' labels make the label names differ from one series to another."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.certificates: Mapping[str, Certificate] = {}

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        family = GaugeMetricFamily(f"{PREFIX}_certificate_expiry", "Days until a certificate expires, with its labels")
        for certificate in self.certificates.values():
            try:
                left = parse_time(certificate.expires) - self._now()
            except ValueError:
                continue
            labels = {
                **split_labels(certificate.labels),
                "issuer": certificate.issuer,
                "owner": certificate.owner,
                "domain": certificate.domain,
                "name": certificate.name,
                "expires": certificate.expires,
                "encryption": certificate.encryption,
                "serial": certificate.serial,
            }
            family.add_sample(family.name, labels, float(int(left.total_seconds() / _DAY)))
        yield family
