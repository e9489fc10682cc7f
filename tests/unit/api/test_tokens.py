from __future__ import annotations

import pytest

from acme_manager.domain.token import Scope
from tests.unit.api.world import ADMIN, open_api

PATH = "/api/v1/token"
WISH = {"username": "bob", "scope": ["read", "create"]}


async def test_a_token_is_made_used_replaced_and_revoked() -> None:
    async with open_api() as api:
        client = api.client
        made = await client.post(PATH, json=WISH, headers=ADMIN)
        record = await made.get_json()
        assert made.status_code == 201
        assert list(record) == sorted(record, key=str.lower) == [
            "duration", "expires", "id", "rate_limit_max_requests", "rate_limit_window", "scope", "token", "tokenHash",
            "username",
        ]  # fmt: skip
        assert (record["expires"], record["duration"], record["rate_limit_max_requests"]) == ("Never", "", 0)

        own = await client.get(f"{PATH}/self", headers={"Authorization": f"Bearer {record['token']}"})
        assert await own.get_json() == {
            "tokenHash": record["tokenHash"],
            "scope": ["read", "create"],
            "username": "bob",
            "expires": "Never",
            "updated_at": (await own.get_json())["updated_at"],
        }
        by_id = await client.get(f"{PATH}/{record['id']}", headers=ADMIN)
        assert await by_id.get_json() == await own.get_json()

        replaced = await client.put(PATH, json={**WISH, "id": record["id"], "scope": ["read"]}, headers=ADMIN)
        assert replaced.status_code == 200
        assert (await replaced.get_json())["token"] != record["token"]
        stale = await client.get(f"{PATH}/self", headers={"Authorization": f"Bearer {record['token']}"})
        assert stale.status_code == 401

        gone = await client.delete(f"{PATH}/{record['id']}", headers=ADMIN)
        assert (gone.status_code, await gone.get_data()) == (204, b"")
        assert (await client.get(f"{PATH}/{record['id']}", headers=ADMIN)).status_code == 404


async def test_allow_lists_are_answered_where_they_are_used() -> None:
    async with open_api() as api:
        made = await api.client.post(PATH, json={**WISH, "domains": ["*.example.com"]}, headers=ADMIN)
        record = await made.get_json()
        assert record["domains"] == ["*.example.com"]
        assert "issuers" not in record


async def test_the_list_has_every_token_and_no_hash() -> None:
    async with open_api() as api:
        api.token()
        api.token(Scope.READ, username="bob")
        listed = await api.client.get(PATH, headers=ADMIN)
        text = await listed.get_data(as_text=True)
        assert [(one["id"], one["username"]) for one in await listed.get_json()] == [
            ("t-alice-", "alice"),
            ("t-bob-read", "bob"),
        ]
        assert "Hash" not in text


@pytest.mark.parametrize(
    ("method", "path"), [("POST", ""), ("PUT", ""), ("GET", ""), ("GET", "/x"), ("GET", "/self"), ("DELETE", "/x")]
)
@pytest.mark.parametrize(
    ("headers", "message"),
    [({}, "X-API-Key Header is missing or empty"), ({"X-API-Key": "guess"}, "API Key not valid")],
)
async def test_only_the_administrator_manages_tokens(
    method: str, path: str, headers: dict[str, str], message: str
) -> None:
    async with open_api() as api:
        answer = await api.client.open(PATH + path, method=method, json=WISH, headers=headers)
        assert (answer.status_code, (await answer.get_json())["error"]) == (401, message)
        assert "X-API-Key" in answer.headers["WWW-Authenticate"]


async def test_self_without_a_token_is_an_id_like_any_other() -> None:
    async with open_api() as api:
        answer = await api.client.get(f"{PATH}/self", headers=ADMIN)
        assert (answer.status_code, (await answer.get_json())["error"]) == (404, "token ID 'self' not found")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "missing/empty 'username' parameter"),
        (
            {"username": "bob", "scope": ["admin"]},
            "invalid scope value 'admin', must be in [create read update delete]",
        ),
        ({"username": "bob", "scope": "read"}, "'scope' must be a list of strings, not a string"),
        ({**WISH, "rate_limit_max_requests": -1}, "rate_limit_max_requests must be non-negative"),
        ({**WISH, "duration": "soon"}, "invalid duration for 'expires' parameter"),
    ],
)
async def test_a_bad_body_is_refused_in_the_original_words(body: object, message: str) -> None:
    async with open_api() as api:
        answer = await api.client.post(PATH, json=body, headers=ADMIN)
        assert answer.status_code == 400
        assert message in (await answer.get_json())["error"]


async def test_a_token_that_is_not_there_can_be_neither_replaced_nor_revoked() -> None:
    async with open_api() as api:
        for answer in (
            await api.client.put(PATH, json={**WISH, "id": "x"}, headers=ADMIN),
            await api.client.delete(f"{PATH}/x", headers=ADMIN),
        ):
            assert (answer.status_code, (await answer.get_json())["error"]) == (404, "token ID 'x' not found")
