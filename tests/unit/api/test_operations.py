from __future__ import annotations

import json
from datetime import timedelta

import attrs
import pytest

from acme_manager.domain.certificate import Certificate
from tests.unit.api.world import ADMIN, Api, open_api
from tests.unit.services.world import ALICE, NOW, MovableClock, wish

PATH = "/api/v1/operations"


async def make(api: Api) -> Certificate:
    return (await api.world.certificates.request(ALICE, wish())).certificate


async def test_an_operation_is_previewed_begun_watched_paused_resumed_and_aborted() -> None:
    clock = MovableClock()
    async with open_api(clock=clock) as api:
        await make(api)
        clock.at = NOW + timedelta(hours=1)
        body = {"names": ["*.com"], "revoke": True, "reason": "superseded"}
        answer = await api.client.post(f"{PATH}/replace", headers=ADMIN, json=body | {"preview": True})
        assert answer.status_code == 200
        preview = await answer.get_json()
        assert (preview["total"], preview["issuers"]["test"]["certificates"], preview["owners"]) == (1, 1, {"alice": 1})
        assert preview["formula"].startswith("At each CA the longest of these")
        assert await (await api.client.get(PATH, headers=ADMIN)).get_json() == []
        answer = await api.client.post(f"{PATH}/replace", headers=ADMIN, json=body)
        assert (answer.status_code, answer.headers["Location"]) == (202, f"{PATH}/1")
        begun = await answer.get_json()
        assert begun.pop("created_by").startswith("API key, request ")
        assert begun == {
            "id": "1",
            "kind": "replace",
            "state": "running",
            "selector": {"names": ["*.com"]},
            "total": 1,
            "done": 0,
            "left": 1,
            "failed": 0,
            "waiting_for_host": 0,
            "revoke": True,
            "reason": "superseded",
            "started_at": "2026-11-24T13:00:00Z",
        }
        for verb, state in (("pause", "paused"), ("resume", "running"), ("abort", "aborted")):
            answer = await api.client.post(f"{PATH}/1/{verb}", headers=ADMIN)
            assert (answer.status_code, (await answer.get_json())["state"]) == (200, state)
        answer = await api.client.post(f"{PATH}/1/resume", headers=ADMIN)
        assert (answer.status_code, (await answer.get_json())["type"]) == (409, "/problems/conflict")
        shown = await (await api.client.get(f"{PATH}/1", headers=ADMIN)).get_json()
        assert (shown["state"], shown["left"], shown["ended_at"]) == ("aborted", 1, "2026-11-24T13:00:00Z")
        assert await (await api.client.get(PATH, headers=ADMIN)).get_json() == [shown]
        assert api.world.ca.requests[1:] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "all"),
        ({"issuers": ["test"], "owner": ["alice"]}, "owner"),  # it would have selected everybody's
        ({"issuers": "test"}, "issuers"),
        ({"all": True, "reason": "keyCompromise"}, "reason"),
        ({"owners": ["nobody"]}, ""),
    ],
)
async def test_a_selection_that_says_nothing_or_something_unknown_is_refused(
    body: dict[str, object], field: str
) -> None:
    async with open_api() as api:
        await make(api)
        answer = await api.client.post(f"{PATH}/renew", headers=ADMIN, json=body)
        assert answer.status_code == 400
        problem = await answer.get_json()
        assert problem["complaints"][0].get("field", "") == field, json.dumps(problem)
        assert await (await api.client.get(PATH, headers=ADMIN)).get_json() == []


async def test_operations_are_for_administrators_and_unknown_ones_are_not_found() -> None:
    async with open_api() as api:
        for method, path in (("POST", "/replace"), ("POST", "/1/abort"), ("GET", ""), ("GET", "/1")):
            answer = await api.client.open(PATH + path, method=method, headers=api.token())
            assert answer.status_code == 401, path
        answer = await api.client.get(f"{PATH}/1", headers=ADMIN)
        assert (answer.status_code, (await answer.get_json())["type"]) == (404, "/problems/operation-not-found")


async def test_a_certificate_of_the_go_program_belongs_to_it_too() -> None:
    async with open_api() as api:
        api.world.state.publish(attrs.evolve(await make(api), issued_at=0))
        answer = await api.client.post(f"{PATH}/renew", headers=ADMIN, json={"all": True})
        assert (await answer.get_json())["total"] == 1
