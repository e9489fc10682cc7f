from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from acme_manager.config.model import VaultConfig
from tests.integration.storage.bao import Bao


@pytest.fixture
def bao(tmp_path: Path) -> Iterator[Bao]:
    server = Bao(tmp_path)
    try:
        server.start()
        server.set_up()
        yield server
    finally:
        server.kill()


@pytest.fixture
def config(bao: Bao) -> VaultConfig:
    return bao.role("test")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()
