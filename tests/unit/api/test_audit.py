from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import structlog.testing
import trio.testing
from quart_trio.testing import TrioClient

from acme_manager.api.auditing import ACTIONS, EXEMPT
from acme_manager.domain.token import Scope
from acme_manager.structure import background
from tests.unit.api.served import Follower, open_server
from tests.unit.api.world import ADMIN, Api, open_api

BODY = {"domain": "a.example", "issuer": "test"}
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


@asynccontextmanager
async def audited(api: Api) -> AsyncIterator[None]:
    """Have the node do for the log what a leader does."""
    async with background(lambda: api.world.audit(1)):
        await trio.testing.wait_all_tasks_blocked()
        yield


@asynccontextmanager
async def open_audited() -> AsyncIterator[Api]:
    async with open_api() as api, audited(api):
        yield api


async def entries(api: Api, query: str = "", headers: dict[str, str] = ADMIN) -> list[dict[str, Any]]:
    answered = await api.client.get(f"/api/v1/audit{query}", headers=headers)
    assert answered.status_code == 200, await answered.get_data()
    record = await answered.get_json()
    return list(record["entries"])


def brief(entry: dict[str, Any]) -> tuple[Any, ...]:
    return entry["action"], entry.get("actor", ""), entry.get("object", ""), entry["status"]


async def test_every_route_that_changes_something_has_a_name_in_the_log_or_is_exempt() -> None:
    async with open_api() as api:
        changing = {rule.endpoint for rule in api.app.url_map.iter_rules() if (rule.methods or set()) & CHANGING}
    assert changing == ACTIONS.keys() | EXEMPT
    assert not ACTIONS.keys() & EXEMPT


async def test_who_did_what_to_what_is_noted() -> None:
    async with open_audited() as api:
        bearer, client = api.token(), api.client
        await client.post("/api/v1/certificate", json=BODY, headers=bearer | {"X-Request-ID": "first"})
        await client.put("/api/v1/certificate", json=BODY | {"labels": "a=b"}, headers=bearer)
        await client.post("/api/v1/certificate/renew", json=BODY, headers=bearer)
        await client.post("/api/v1/certificate/check", json=BODY, headers=bearer)
        selected = {"all": True, "preview": True}
        assert (await client.post("/api/v1/operations/renew", json=selected, headers=ADMIN)).status_code == 200
        await client.post("/api/v1/operations/renew", json={"ari": True}, headers=ADMIN)
        await client.post("/api/v1/operations/1/pause", headers=ADMIN)
        await client.delete("/api/v1/certificate/test/a.example?revoke=true", headers=bearer)
        await client.delete("/api/v1/certificate/test/a.example", headers=bearer)
        made = await client.post("/api/v1/token", json={"username": "bob", "scope": ["read"]}, headers=ADMIN)
        id = (await made.get_json())["id"]
        await client.delete(f"/api/v1/token/{id}", headers=ADMIN)
        await client.post("/ring", data=b"forget=node-9", headers=ADMIN)
        await client.get("/api/v1/certificate/metadata", headers=bearer)

        key, actor, found = "alice/test/a.example", "token t-alice-", await entries(api)
        assert [brief(one) for one in reversed(found)] == [
            ("certificate.request", actor, key, 201),
            ("certificate.update", actor, key, 200),
            ("certificate.renew", actor, key, 200),
            ("operation.start", "API key", "1", 202),
            ("operation.pause", "API key", "1", 200),
            ("certificate.revoke", actor, key, 204),
            ("certificate.delete", actor, key, 404),
            ("token.create", "API key", id, 201),
            ("token.revoke", "API key", id, 204),
            ("ring.forget", "API key", "node-9", 404),
        ]
        assert {name: value for name, value in found[-1].items() if name != "source"} == {
            "number": 1,
            "at": "2026-11-24T12:00:00.000Z",
            "action": "certificate.request",
            "actor": actor,
            "owner": "alice",
            "object": key,
            "status": 201,
            "request_id": "first",
            "node": "alone",
        }
        assert "there is no member 'node-9'" in found[0]["error"]


async def test_owners_see_their_own_entries_and_the_key_shows_all() -> None:
    async with open_audited() as api:
        alice, bob = api.token(), api.token(Scope.CREATE, username="bob")
        for headers in (alice, bob):
            await api.client.post("/api/v1/certificate", json=BODY, headers=headers)
        assert [one["owner"] for one in await entries(api)] == ["bob", "alice"]
        assert [one["owner"] for one in await entries(api, headers=alice)] == ["alice"]
        assert await entries(api, "?q=bob", headers=alice) == []
        assert len(await entries(api, "?q=BOB&action=certificate&actor=t-bob&object=a.example")) == 1
        assert await entries(api, "?since=2026-11-24T12:00:01Z") == []
        first = await (await api.client.get("/api/v1/audit?limit=1", headers=ADMIN)).get_json()
        assert (len(first["entries"]), first["complete"]) == (1, False)
        (last,) = await entries(api, f"?limit=1&cursor={first['cursor']}")
        assert last["owner"] == "alice"
        assert (await api.client.get("/api/v1/audit")).status_code == 401
        verify = await api.client.get("/api/v1/audit/verify", headers=alice)
        assert verify.status_code == 401, "that is for administrators"
        verdict = await (await api.client.get("/api/v1/audit/verify", headers=ADMIN)).get_json()
        assert (verdict["ok"], verdict["entries"], verdict["breaks"]) == (True, 1, [])


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("since=now", "since"),
        ("cursor=x", "cursor"),
    ],
)
async def test_a_query_that_can_not_be_read_names_the_field(query: str, named: str) -> None:
    async with open_api() as api:
        answered = await api.client.get(f"/api/v1/audit?{query}", headers=ADMIN)
        assert answered.status_code == 400
        assert (await answered.get_json())["complaints"][0]["field"] == named


async def test_refused_attempts_are_entries_but_a_flood_is_one() -> None:
    async with open_audited() as api:
        for number in range(50):
            await api.client.post("/api/v1/token", json={}, headers={"X-API-Key": f"guess-{number}"})
        await api.client.post("/api/v1/certificate", json=BODY, headers=api.token(Scope.READ))
        found = await entries(api)
        assert [brief(one) for one in found] == [
            ("certificate.request", "token t-alice-read", "", 403),
            ("token.create", "", "", 401),
        ]
        assert found[0]["error"] == "invalid scope, missing 'create' scope"


async def test_no_secret_gets_into_an_entry_or_a_line_of_the_log() -> None:
    secret = "s3cr3t-that-opens-everything"
    pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIPlanted\n-----END PRIVATE KEY-----"

    async def tries(client: TrioClient, headers: dict[str, str]) -> None:
        for field in ("domain", "issuer", "name", "csr", "labels"):
            await client.post("/api/v1/certificate", json=BODY | {field: pem}, headers=headers)
            await client.post("/api/v1/certificate", json=BODY | {field: secret}, headers=headers)
        await client.put("/api/v1/token", json={"id": secret, "username": secret, "scope": [secret]}, headers=headers)
        await client.delete(f"/api/v1/certificate/{secret}", headers=headers)
        await client.delete(f"/api/v1/token/{secret}", headers=headers)
        await client.post("/ring", data=f"forget={secret}".encode(), headers=headers)

    async with open_audited() as api:
        with structlog.testing.capture_logs() as logged:
            await tries(api.client, {"X-API-Key": secret, "X-Forwarded-For": secret})
            await tries(api.client, {"Authorization": f"Bearer {secret}"})
            await tries(api.client, api.token() | {"X-API-Key": secret})
            await tries(api.client, api.token() | {"X-API-Key": secret, "X-Request-ID": secret})
        lines = [line for line in logged if line["event"] == "audit"]
        text = json.dumps([*lines, *(await entries(api))])
        assert len(lines) >= 4
        for planted in (secret, "MC4CAQ", api.token()["Authorization"].removeprefix("Bearer ")):
            assert planted not in text


async def test_the_leader_notes_where_a_request_came_from_before_it_was_passed_on() -> None:
    async with open_server() as leader, audited(leader.api):
        follower = Follower(leader.url)
        shown = [{"name": follower.name, "address": "127.0.0.1:7946"}]
        leader.api.world.cluster.members = lambda: shown  # type: ignore[method-assign]
        async with open_server(replaced={"cluster": follower}) as passing:
            headers = leader.api.token() | {"X-Forwarded-For": "203.0.113.9"}
            transport = httpx.AsyncHTTPTransport(local_address="127.0.0.7")
            async with httpx.AsyncClient(transport=transport) as client:
                for url in (passing.url, leader.url):
                    await client.put(f"{url}/api/v1/certificate", json=BODY, headers=headers)
                claimed = headers | {"X-Acme-Manager-Hop": follower.name, "X-Forwarded-For": "198.51.100.1"}
                await client.post(f"{leader.url}/api/v1/certificate", json=BODY, headers=claimed)
            assert await entries(passing.api) == [], "the node that served it notes it"
        found = await entries(leader.api)
        assert [(one["source"], one["forwarded_for"]) for one in found] == [
            ("127.0.0.7", "198.51.100.1"),
            ("127.0.0.7", "203.0.113.9"),
        ], "a stranger's word counts for nothing"


async def test_a_request_is_answered_even_when_it_can_not_be_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_api() as api:
        monkeypatch.setattr(api.world.audit, "note", None)
        with structlog.testing.capture_logs() as logged:
            made = await api.client.post("/api/v1/certificate", json=BODY, headers=api.token())
        assert made.status_code == 201
        assert any("not noted in the audit log" in line["event"] for line in logged)


async def test_where_nobody_leads_a_refused_write_is_no_entry() -> None:
    async with open_api() as api:
        api.world.cluster.leading = False
        with structlog.testing.capture_logs() as logged:
            answered = await api.client.post(
                "/api/v1/certificate", json=BODY, headers=api.token() | {"X-Acme-Manager-Hop": "other"}
            )
        assert answered.status_code == 503
        assert [line for line in logged if line["event"] == "audit"] == []
