from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from acme_manager.config.model import VaultConfig
from tests.integration.storage.roles import make_role
from tests.parts.openbao import OpenBao, openbao


@pytest.fixture
async def bao(tmp_path: Path) -> AsyncIterator[OpenBao]:
    """A server of its own for each test: they seal it, kill it and change its policies."""
    async with openbao(tmp_path) as server:
        yield server


@pytest.fixture
async def config(bao: OpenBao) -> VaultConfig:
    return await make_role(bao)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()
