from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from acme_manager.config.model import VaultConfig
from acme_manager.storage.metrics import StorageMetrics
from acme_manager.storage.vault import backoff


def test_pauses_double_up_to_the_longest_one() -> None:
    config = VaultConfig(
        url="http://127.0.0.1:8200",
        role_id="r",
        secret_id="s",
        secret_engine="secret",
        certificate_prefix="c",
        retry_max=6,
        retry_wait_min=1.0,
        retry_wait_max=10.0,
    )
    assert list(backoff(config)) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_the_metrics_have_the_guides_names() -> None:
    registry = CollectorRegistry()
    StorageMetrics.register(registry)
    lines = generate_latest(registry).decode().splitlines()
    for operation in ("get", "put", "delete"):
        for outcome in ("success", "failed"):
            assert f"acme_manager_vault_{operation}_secret_{outcome}_total 0.0" in lines
