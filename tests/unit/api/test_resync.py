from __future__ import annotations

from acme_manager.errors import StorageUnavailable
from tests.unit.api.world import ADMIN, open_api
from tests.unit.services.world import ALICE, wish

PATH = "/api/v1/operations/resync"


async def test_an_administrator_has_changes_by_hand_taken_up_at_once() -> None:
    async with open_api() as api:
        await api.world.certificates.request(ALICE, wish())
        await api.world.storage.delete("certificates/alice/test/example.com")
        answered = await api.client.post(PATH, headers=ADMIN)
        found = await answered.get_json()
        assert answered.status_code == 200
        assert found.pop("seconds") >= 0
        assert found == {
            "certificates": 0,
            "tokens": 0,
            "certificates_changed": {"count": 0, "keys": []},
            "certificates_gone": {"count": 1, "keys": ["alice/test/example.com"]},
            "tokens_changed": {"count": 0, "keys": []},
            "tokens_gone": {"count": 0, "keys": []},
        }
        assert api.world.certificates.list("alice") == []


async def test_nobody_else_may_ask_for_it_and_storage_that_is_away_is_said() -> None:
    async with open_api() as api:
        assert (await api.client.post(PATH, headers=api.token())).status_code == 401
        api.world.storage.down = StorageUnavailable("sealed")
        assert (await api.client.post(PATH, headers=ADMIN)).status_code == 503
