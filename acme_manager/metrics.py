"""The registry of a process, and what can be said about it before anything runs.

Every subsystem has one class that registers all its metrics on the registry it is given, named `acme_manager_…`.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics
from prometheus_client.core import Metric, UnknownMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from acme_manager.build import build

PREFIX = "acme_manager"

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def new_registry(program: str) -> CollectorRegistry:
    """A registry with the process's own figures and what is known about the build of `program`, server or client."""
    disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each counter, which nobody asks for
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    _register_build_info(registry, program)
    return registry


def _register_build_info(registry: CollectorRegistry, program: str) -> None:
    # The label names are the Go original's, since dashboards join on them.
    known = build()
    facts = {
        "version": known.version,
        "revision": known.revision,
        "branch": known.branch,
        "tags": "",
        "goversion": f"python{platform.python_version()}",
        "goos": sys.platform,
        "goarch": _MACHINES.get(platform.machine(), platform.machine()),
    }
    for name in ("build_info", f"{program}_build_info"):  # the guide's name, and that of the Go original's dashboards
        info = Gauge(f"{PREFIX}_{name}", "Version and platform of the program; always 1", facts, registry=registry)
        info.labels(**facts).set(1)


class ExactCounter(Collector):
    """A count that is shown under exactly its name.

    Some counters of the guide lack the suffix `_total`, which the library appends to every counter, and OpenMetrics
    demands of one; so they are shown without a type. `rate()` and `increase()` do not ask for it.
    """

    def __init__(self, name: str, help: str, registry: CollectorRegistry) -> None:
        self._name, self._help, self._count = name, help, 0
        registry.register(self)

    def inc(self) -> None:
        """Count one."""
        self._count += 1

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield UnknownMetricFamily(self._name, self._help, self._count)
