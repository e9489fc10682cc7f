from __future__ import annotations

import pytest

from acme_manager.api import cleanup
from acme_manager.errors import StorageDenied
from tests.unit.api.world import ADMIN, open_api
from tests.unit.services.cleaning import WEB, put, secret

PATH = "/api/v1/operations/cleanup"


async def test_an_administrator_sees_what_would_be_done_and_why_and_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_api() as api:
        storage = api.world.storage
        await put(storage, WEB, secret(-30), secret(5), secret(60))
        await put(storage, "certificates/alice/notes", {"text": "mine"}, {"text": "still mine"})
        answer = await api.client.get(PATH, headers=ADMIN)
        assert answer.status_code == 200
        found = await answer.get_json()
        assert (found["enabled"], found["complete"]) == (True, True)
        assert found["totals"] == {"keep": 1, "revoke": 1, "destroy": 1, "purge": 0, "skip": 1}
        lines = {(one["action"], one["secret"], one["version"]): one["reason"] for one in found["actions"]}
        assert lines == {
            ("destroy", WEB, 1): "expired on 2026-10-25 12:00 UTC",
            ("revoke", WEB, 2): "expires on 2026-11-29 12:00 UTC, and nobody needs it",
            ("skip", "certificates/alice/notes", 0): "not ours alone: version 1 has members of others: text",
        }
        assert api.world.ca.revoked == []
        assert [one.destroyed for one in await storage.versions(WEB)] == [False] * 3
        monkeypatch.setattr(cleanup, "_LINES", 2)
        found = await (await api.client.get(PATH, headers=ADMIN)).get_json()
        assert (len(found["actions"]), found["complete"], found["totals"]["skip"]) == (2, False, 1)


async def test_it_is_for_administrators_and_says_what_keeps_it_from_looking() -> None:
    async with open_api() as api:
        assert (await api.client.get(PATH, headers=api.token())).status_code == 401
        api.world.storage.down = StorageDenied("Vault denies list on secret/metadata/certificates")
        answer = await api.client.get(PATH, headers=ADMIN)
        assert answer.status_code == 503
        assert "denies list on" in (await answer.get_json())["detail"]
