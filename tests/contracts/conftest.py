from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from acme_manager.config.model import VaultConfig
from acme_manager.ports import Storage
from acme_manager.storage.memory import MemoryStorage
from acme_manager.storage.vault import open_vault
from tests.integration.storage.bao import Bao

Opener = Callable[[], AbstractAsyncContextManager[Storage]]


class _FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def vault_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultConfig]:
    bao = Bao(Path(tmp_path_factory.mktemp("bao")))
    try:
        bao.start()
        bao.set_up()
        yield bao.role("contract")
    finally:
        bao.kill()


@pytest.fixture(params=["memory", "vault"])
def opener(request: pytest.FixtureRequest) -> Opener:
    if request.param == "vault":
        config = request.getfixturevalue("vault_config")
        return lambda: open_vault(config, CollectorRegistry())

    @asynccontextmanager
    async def open_memory() -> AsyncIterator[MemoryStorage]:
        yield MemoryStorage(_FixedClock())

    return open_memory


@pytest.fixture
async def storage(opener: Opener) -> AsyncIterator[Storage]:
    async with opener() as opened:
        yield opened


@pytest.fixture
def folder() -> str:
    """A folder that no other test uses."""
    return f"certificates/{uuid4()}"
