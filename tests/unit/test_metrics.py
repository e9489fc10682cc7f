from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import choose_encoder

from acme_manager import __version__
from acme_manager.metrics import ExactCounter, new_registry


def test_the_registry_tells_the_version_under_the_label_names_that_dashboards_know() -> None:
    (sample,) = next(
        family.samples for family in new_registry("server").collect() if family.name == "acme_manager_server_build_info"
    )
    assert sample.value == 1
    assert sample.labels["version"] == __version__
    assert sample.labels["revision"]  # an empty label is none
    assert set(sample.labels) == {"branch", "goarch", "goos", "goversion", "revision", "tags", "version"}


def test_registries_are_independent_and_counters_are_one_series_each() -> None:
    for _ in range(2):
        registry = new_registry("client")
        Counter("acme_manager_x", "x", registry=registry).inc()
        text = generate_latest(registry).decode()
        assert "process_resident_memory_bytes" in text
        assert "acme_manager_x_total 1.0" in text
        assert "_created" not in text


def test_an_exact_counter_keeps_its_name_in_both_formats() -> None:
    registry = CollectorRegistry()
    counter = ExactCounter("acme_manager_x_created", "x", registry)
    counter.inc()
    for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
        encoder, _ = choose_encoder(accept)
        assert b"\nacme_manager_x_created 1.0\n" in encoder(registry)
