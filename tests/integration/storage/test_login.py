"""Staying logged in at a real OpenBao."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import httpx
import pytest
import trio
from prometheus_client import CollectorRegistry

from acme_manager.config.model import VaultConfig
from acme_manager.errors import StorageDenied, StorageUnavailable
from acme_manager.ports import Versioned
from acme_manager.storage.vault import VaultStorage, open_vault
from tests.integration.storage.roles import make_role
from tests.parts.openbao import OpenBao

KEY = "certificates/o/le/example.com"


def logins(registry: CollectorRegistry, outcome: str = "success") -> float | None:
    return registry.get_sample_value(f"acme_manager_vault_login_{outcome}_total")


def token_of(storage: VaultStorage) -> str:
    return storage._transport.adapter.token or ""


async def look_up(bao: OpenBao, token: str) -> dict[str, object]:
    answer = await bao.api("POST", "auth/token/lookup", {"token": token})
    return dict(answer["data"])


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(15):
        while not condition():  # noqa: ASYNC110  the condition is the server's
            await trio.sleep(0.05)


async def test_a_token_is_renewed_before_it_ends(bao: OpenBao, registry: CollectorRegistry) -> None:
    async with open_vault(await make_role(bao, "short", token_ttl="2s"), registry) as storage:
        await storage.get(KEY)
        token = token_of(storage)
        with trio.fail_after(15):
            while (await look_up(bao, token)).get("last_renewal") is None:  # noqa: ASYNC110  the server's doing
                await trio.sleep(0.05)
        assert await storage.health() is None
        assert token_of(storage) == token
        assert logins(registry) == 1


async def test_near_max_ttl_a_new_login_replaces_the_token_and_nobody_notices(
    bao: OpenBao, registry: CollectorRegistry
) -> None:
    async with open_vault(await make_role(bao, "ending", token_ttl="2s", token_max_ttl="3s"), registry) as storage:
        await storage.get(KEY)
        first = token_of(storage)
        with trio.fail_after(15):
            while (logins(registry) or 0) < 3:
                await storage.get(KEY)
                await trio.sleep(0.02)
        assert token_of(storage) != first
        assert registry.get_sample_value("acme_manager_vault_get_secret_failed_total") == 0
        assert registry.get_sample_value("acme_manager_vault_request_retries_total") == 0


async def test_a_token_that_can_not_be_renewed_is_replaced(bao: OpenBao, registry: CollectorRegistry) -> None:
    async with open_vault(await make_role(bao, "batch", token_type="batch", token_ttl="2s"), registry) as storage:
        await until(lambda: (logins(registry) or 0) >= 2)
        assert await storage.health() is None


async def test_a_revoked_token_costs_one_login_for_all_that_notice(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    async with open_vault(config, registry) as storage:
        await storage.put(KEY, {"n": 1}, expected=0)
        await bao.api("POST", "auth/token/revoke", {"token": token_of(storage)})
        found: list[Versioned] = []

        async def read() -> None:
            found.append(await storage.get(KEY))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(read)
        assert found == [Versioned({"n": 1}, 1)] * 20
        assert logins(registry) == 2


async def test_tasks_that_find_no_answer_share_one_login_too(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    bao.freeze()
    failed: list[StorageUnavailable] = []
    try:
        async with open_vault(config, registry, io_timeout=0.5) as storage:

            async def read() -> None:
                with pytest.raises(StorageUnavailable) as caught:
                    await storage.get(KEY)
                failed.append(caught.value)

            with trio.fail_after(2):
                async with trio.open_nursery() as nursery:
                    for _ in range(20):
                        nursery.start_soon(read)
    finally:
        bao.thaw()
    assert len(failed) == 20
    assert logins(registry, "failed") == 1


async def test_a_wrong_secret_id_is_named_and_not_tried_again_at_once(
    config: VaultConfig, registry: CollectorRegistry
) -> None:
    async with open_vault(attrs.evolve(config, secret_id="planted-wrong-secret"), registry) as storage:
        for _ in range(3):
            with pytest.raises(StorageDenied, match=r"invalid role or secret ID.*secret_id") as caught:
                await storage.get(KEY)
            assert "planted-wrong-secret" not in str(caught.value)
        assert "auth/approle/login" in (await storage.health() or "")
        assert logins(registry, "failed") == 1


async def test_a_wrong_mount_path_is_named(config: VaultConfig, registry: CollectorRegistry) -> None:
    async with open_vault(attrs.evolve(config, mount_path="/elsewhere/"), registry) as storage:
        with pytest.raises(StorageDenied, match=r"auth/elsewhere/login.*mount_path"):
            await storage.get(KEY)


async def test_the_token_is_revoked_at_the_end(bao: OpenBao, config: VaultConfig, registry: CollectorRegistry) -> None:
    async with open_vault(config, registry) as storage:
        await storage.get(KEY)
        token = token_of(storage)
        await look_up(bao, token)
    with pytest.raises(httpx.HTTPStatusError):
        await look_up(bao, token)
