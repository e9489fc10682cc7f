from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from acme_manager.config.model import VaultConfig
from acme_manager.errors import StorageUnavailable
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


def test_an_operation_counts_under_the_name_of_its_kind_and_of_its_secrets_type() -> None:
    registry = CollectorRegistry()
    metrics = StorageMetrics.register(registry)
    with metrics.secret("get", "token"):
        pass
    with pytest.raises(StorageUnavailable), metrics.secret("get", "token"):
        raise StorageUnavailable("sealed")
    for status in ("success", "failed"):
        assert registry.get_sample_value(f"acme_manager_vault_get_secret_{status}_total") == 1
        labels = {"secret_type": "token", "operation": "get", "status": status}
        assert registry.get_sample_value("acme_manager_vault_secret_operations_total", labels) == 1
