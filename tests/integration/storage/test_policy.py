"""What the policy must grant, tried on a real OpenBao."""

from __future__ import annotations

from collections.abc import Awaitable

import attrs
import pytest
from prometheus_client import CollectorRegistry

from acme_manager.config.model import VaultConfig
from acme_manager.errors import StorageDenied, StorageUnavailable
from acme_manager.storage.vault import open_vault
from tests.integration.storage.roles import make_role, set_policy
from tests.parts.openbao import OpenBao

KEY = "certificates/o/le/example.com"

# The example of the administrator's guide.
TOO_SMALL = """
path "secret/data/certificates/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}
path "secret/data/tokens/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}
"""


async def test_a_policy_that_is_too_small_is_told_what_it_lacks(bao: OpenBao, registry: CollectorRegistry) -> None:
    await set_policy(bao, "small", TOO_SMALL)
    async with open_vault(await make_role(bao, "small", token_policies=["small"]), registry) as storage:
        assert await storage.put(KEY, {"n": 1}, expected=0) == 1
        lacking: dict[str, Awaitable[object]] = {
            "list on secret/metadata/certificates": storage.list("certificates"),
            f"read on secret/metadata/{KEY}": storage.versions(KEY),
            f"update on secret/destroy/{KEY}": storage.destroy(KEY, [1]),
            f"delete on secret/metadata/{KEY}": storage.purge(KEY),
        }
        for need, attempt in lacking.items():
            with pytest.raises(StorageDenied, match=r"config/vault-policy\.hcl") as caught:
                await attempt
            assert need in str(caught.value)
        assert "list on secret/metadata/certificates" in (await storage.health() or "")
        assert (await storage.get(KEY)).value == {"n": 1}
        # One login at the start and one to make sure that it is the policy, not one per refusal.
        assert registry.get_sample_value("acme_manager_vault_login_success_total") == 2


async def test_a_policy_attached_later_helps_without_a_restart(bao: OpenBao, registry: CollectorRegistry) -> None:
    config = await make_role(bao, "late", token_policies=["default"])
    async with open_vault(config, registry) as storage:
        await storage._login.token()
        await make_role(bao, "late", token_policies=["shipped"])
        assert await storage.list("certificates") == []


async def test_the_shipped_policy_suffices_without_vaults_default_policy(
    bao: OpenBao, registry: CollectorRegistry
) -> None:
    config = await make_role(bao, "bare", token_no_default_policy=True, token_ttl="2s")
    async with open_vault(config, registry) as storage:
        for key in (KEY, "certificates/.acme-manager/orders/o/le/example.com", "tokens/user/id"):
            await storage.put(key, {"n": 1}, expected=0)
            await storage.put(key, {"n": 2}, expected=1)
            assert (await storage.get(key, 1)).value == {"n": 1}
            assert len(await storage.versions(key)) == 2
            await storage.delete(key)
            await storage.destroy(key, [1])
            assert await storage.list(key.split("/", maxsplit=1)[0])
            await storage.purge(key)
        assert await storage.health() is None


async def test_an_engine_that_is_not_there_or_too_old_is_named(bao: OpenBao, registry: CollectorRegistry) -> None:
    await bao.api("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
    await set_policy(bao, "all", 'path "*" { capabilities = ["create", "read", "update", "list"] }')
    config: VaultConfig = await make_role(bao, "all", token_policies=["all"])
    async with open_vault(attrs.evolve(config, secret_engine="nowhere"), registry) as storage:
        for attempt in (storage.get(KEY), storage.put(KEY, {}, expected=0), storage.list("certificates")):
            with pytest.raises(StorageUnavailable, match=r"secret_engine.*'nowhere'"):
                await attempt
    async with open_vault(attrs.evolve(config, secret_engine="old"), CollectorRegistry()) as storage:
        with pytest.raises(StorageUnavailable, match="KV version 2"):
            await storage.put(KEY, {}, expected=0)
