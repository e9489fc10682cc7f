from __future__ import annotations

import pytest

from acme_manager.errors import StorageUnavailable
from tests.unit.api.world import ADMIN, open_api


async def test_the_administrator_sees_the_last_round_of_each_worker() -> None:
    async with open_api() as api:
        passes = api.services.passes
        with pytest.raises(StorageUnavailable), passes.noted("cleanup", 3600, leader_only=True):
            raise StorageUnavailable("Vault is sealed")
        with passes.noted("issuer health", 60) as figures:
            figures["looked at"] = 2
        assert (await api.client.get("/api/v1/workers", headers=api.token())).status_code == 401
        cleanup, health = await (await api.client.get("/api/v1/workers", headers=ADMIN)).get_json()
    assert cleanup == {
        "worker": "cleanup",
        "node": "alone",
        "leader_only": True,
        "interval": 3600,
        "began": "2026-11-24T12:00:00Z",
        "ended": "2026-11-24T12:00:00Z",
        "next": "2026-11-24T13:00:00Z",
        "late": False,
        "error": "Vault is sealed",
        "failures": 1,
    }
    assert (health["succeeded"], health["figures"]) == ("2026-11-24T12:00:00Z", {"looked at": 2})
