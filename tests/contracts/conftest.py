from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from uuid import uuid4

import pytest
import trio
from prometheus_client import CollectorRegistry

from acme_manager.config.model import VaultConfig
from acme_manager.ports import Storage
from acme_manager.storage.memory import MemoryStorage
from acme_manager.storage.vault import open_vault
from tests.integration.storage.roles import make_role
from tests.parts.openbao import openbao

Opener = Callable[[], AbstractAsyncContextManager[Storage]]


class _FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def vault_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultConfig]:
    """One server for all tests of a module. An event loop in a thread holds it: each test has a loop of its own."""
    started: Queue[tuple[VaultConfig, Callable[[], None]] | None] = Queue()

    async def hold(folder: Path) -> None:
        try:
            async with openbao(folder) as server:
                token, stopping = trio.lowlevel.current_trio_token(), trio.Event()
                started.put((await make_role(server), lambda: token.run_sync_soon(stopping.set)))
                await stopping.wait()
        finally:
            started.put(None)

    with ThreadPoolExecutor(1) as thread:
        held = thread.submit(trio.run, hold, tmp_path_factory.mktemp("contract"))
        server = started.get(timeout=60)
        if server is not None:
            config, stop = server
            yield config
            stop()
        held.result(timeout=60)


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
