"""Another login takes the place of the one in use, at a real OpenBao."""

from __future__ import annotations

import attrs
import httpx
import pytest
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Common, Config, VaultConfig
from acme_manager.errors import ConfigInvalid, StorageUnavailable
from acme_manager.storage.vault import VaultStorage, open_vault
from tests.integration.storage.test_login import KEY, logins, look_up, token_of
from tests.parts.openbao import OpenBao


async def change(storage: VaultStorage, old: VaultConfig, new: VaultConfig, *, go: bool = True) -> None:
    before, after = (Config(common=Common(), issuers={}, vault=vault) for vault in (old, new))
    async with storage.prepared(before, after) as step:
        if go:
            step()


async def tokens(bao: OpenBao) -> int:
    return len((await bao.api("LIST", "auth/token/accessors"))["data"]["keys"])


async def test_a_new_secret_id_counts_at_once_and_the_old_token_is_revoked(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    role = "auth/approle/role/test"
    async with open_vault(config, registry) as storage:
        await storage.get(KEY)
        first = token_of(storage)
        new = attrs.evolve(config, secret_id=(await bao.api("POST", f"{role}/secret-id"))["data"]["secret_id"])
        await bao.api("POST", f"{role}/secret-id/destroy", {"secret_id": config.secret_id})
        await change(storage, config, new)
        assert token_of(storage) != first
        with pytest.raises(httpx.HTTPStatusError):
            await look_up(bao, first)
        await bao.api("POST", "auth/token/revoke", {"token": token_of(storage)})
        await storage.put(KEY, {"logged": "in anew"}, expected=0)
        assert logins(registry) == 3


async def test_a_login_that_fails_or_is_not_wanted_after_all_leaves_nothing_behind(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    async with open_vault(config, registry) as storage:
        await storage.get(KEY)
        first, before = token_of(storage), await tokens(bao)
        wrong = attrs.evolve(config, secret_id="wrong")
        for _ in range(3):
            with pytest.raises(ConfigInvalid, match=r"storage\.vault: the new login fails: .*Check role_id, secret_id"):
                await change(storage, config, wrong)
        assert logins(registry, "failed") == 1  # a role is locked after five that are refused
        fresh = (await bao.api("POST", "auth/approle/role/test/secret-id"))["data"]["secret_id"]
        await change(storage, config, attrs.evolve(config, secret_id=fresh), go=False)
        assert (token_of(storage), await tokens(bao)) == (first, before)
        await bao.seal()
        with pytest.raises(ConfigInvalid, match="unseal it"):
            await change(storage, config, attrs.evolve(config, secret_id=fresh))
        await bao.unseal()
        await storage.get(KEY)
        assert token_of(storage) == first


async def test_other_pauses_need_no_login(bao: OpenBao, config: VaultConfig, registry: CollectorRegistry) -> None:
    async with open_vault(config, registry) as storage:
        await storage.get(KEY)
        await change(storage, config, attrs.evolve(config, retry_max=0))
        await bao.stop()
        with pytest.raises(StorageUnavailable, match="does not answer"):
            await storage.get(KEY)
        assert registry.get_sample_value("acme_manager_vault_request_retries_total") == 0
        assert logins(registry) == 1
