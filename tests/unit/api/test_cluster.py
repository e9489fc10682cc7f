from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from acme_manager.api.cluster import check_ring, describe_ring
from acme_manager.errors import Conflict, NoQuorum, RingNotReady
from acme_manager.ring.alone import Alone
from acme_manager.services.health import Health
from tests.unit.api.served import Follower, open_server
from tests.unit.api.world import ADMIN, open_api
from tests.unit.services.world import ALICE, NOW

JSON = {"Accept": "application/json"}


class Three(Alone):
    """A cluster of three: one leads, one follows, one is dead."""

    def __init__(self) -> None:
        super().__init__("node-1")
        self.forgotten: list[str] = []

    def members(self) -> list[dict[str, Any]]:
        beat = datetime(2026, 11, 24, 11, 59, 58, tzinfo=UTC)
        common = {"version": "1.0", "heartbeat": beat, "voter": True}
        return [
            {"name": "node-1", "state": "ACTIVE", "address": "10.0.0.1:7946", "tokens": [0, 7], "health": 0, **common},
            {"name": "node-2", "state": "ACTIVE", "url": "https://10.0.0.2:8989", "tokens": [9], **common},
            {"name": "<b>node-3", "state": "UNHEALTHY", "heartbeat": None, "voter": False},
        ]

    def forget(self, name: str) -> None:
        if name == "node-2":
            raise Conflict("'node-2' is alive")
        self.forgotten.append(name)


async def test_the_ring_is_json_for_those_who_ask_for_it() -> None:
    async with open_api(replaced={"cluster": Three()}) as api:
        answer = await api.client.get("/ring", headers=JSON)
        record = await answer.get_json()
        assert list(record) == ["shards", "now"]
        assert datetime.fromisoformat(record["now"]) == NOW
        assert record["shards"][0] == {
            "id": "node-1", "state": "ACTIVE", "address": "10.0.0.1:7946", "tokens": [0, 7], "health": 0,
            "version": "1.0", "timestamp": "2026-11-24T11:59:58Z", "voter": True, "leader": True,
        }  # fmt: skip
        assert record["shards"][2] == {"id": "<b>node-3", "state": "UNHEALTHY", "voter": False, "leader": False}


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", 303),
        ("text/html, application/json", 200),  # JSON comes first, as in the Go original
        ("*/*", 200),  # curl
        (None, 200),
    ],
)
async def test_browsers_are_led_from_the_ring_to_its_page_and_nobody_else(accept: str | None, status: int) -> None:
    async with open_api(replaced={"cluster": Three()}) as api:
        answer = await api.client.get("/ring", headers={"Accept": accept} if accept else {})
        assert answer.status_code == status
        if status == 303:
            assert answer.headers["Location"] == "ui/cluster"
        else:
            assert [one["id"] for one in (await answer.get_json())["shards"]] == ["node-1", "node-2", "<b>node-3"]


async def test_without_a_leader_nobody_is_named_and_the_reason_is() -> None:
    why = NoQuorum("1 of 3 voters in reach")
    async with open_api(replaced={"cluster": Follower(why=why)}) as api:
        shards = (await (await api.client.get("/ring", headers=JSON)).get_json())["shards"]
        assert not any(one["leader"] for one in shards)
        answer = await api.client.get("/ring/leader")
        assert (answer.status_code, (await answer.get_json())["detail"]) == (503, str(why))
        assert "Retry-After" in answer.headers


async def test_every_node_names_the_leader() -> None:
    for cluster, leader in ((Alone("node-1"), "node-1"), (Follower("http://127.0.0.1:1"), "node-b")):
        async with open_api(replaced={"cluster": cluster}) as api:
            assert await (await api.client.get("/ring/leader")).get_json() == {"name": leader}


async def test_the_memberlist_has_everything_but_secrets() -> None:
    async with open_api() as api:
        api.world.state.publish_token(ALICE)
        record = await (await api.client.get("/memberlist")).get_json()
        assert record["members"] == [{"name": "alone", "state": "ACTIVE"}]
        assert record["statistics"]["entries"] == 2  # the token, and the mark that the map is complete
        for path in ("/memberlist", "/ring"):
            text = await (await api.client.get(path, headers=JSON)).get_data(as_text=True)
            assert ALICE.token_hash not in text
            assert ALICE.id not in text


async def test_a_dead_member_is_given_up() -> None:
    async with open_api(replaced={"cluster": (cluster := Three())}) as api:
        answer = await api.client.post("/ring", form={"forget": "<b>node-3"}, headers=ADMIN)
        assert (answer.status_code, answer.headers["Location"], cluster.forgotten) == (302, "#", ["<b>node-3"])


@pytest.mark.parametrize(
    ("form", "headers", "status", "words"),
    [
        ({"forget": "node-3"}, {}, 401, "X-API-Key Header is missing or empty"),
        ({"forget": "node-3"}, {"X-API-Key": "wrong"}, 401, "API Key not valid"),
        ({"forget": "node-2"}, ADMIN, 409, "'node-2' is alive"),
        ({"forget": ""}, ADMIN, 400, "the form field 'forget' must be the id of a member"),
        ({}, ADMIN, 400, "the form field 'forget' must be the id of a member"),
    ],
)
async def test_a_member_is_not_given_up_lightly(
    form: dict[str, str], headers: dict[str, str], status: int, words: str
) -> None:
    async with open_api(replaced={"cluster": (cluster := Three())}) as api:
        answer = await api.client.post("/ring", form=form, headers=headers)
        assert answer.status_code == status
        assert words in (await answer.get_json())["detail"]
        assert cluster.forgotten == []


async def test_a_member_that_nobody_knows_is_not_found() -> None:
    async with open_api() as api:
        answer = await api.client.post("/ring", form={"forget": "node-9"}, headers=ADMIN)
        assert (answer.status_code, (await answer.get_json())["type"]) == (404, "/problems/not-found")


async def test_only_the_leader_gives_a_member_up() -> None:
    async with (
        open_server(replaced={"cluster": (leader := Three())}) as second,
        open_server(replaced={"cluster": Follower(second.url)}) as first,
        first.client() as client,
    ):
        answer = await client.post("/ring", data={"forget": "node-3"}, headers=ADMIN)
        assert (answer.status_code, answer.headers["Location"], leader.forgotten) == (302, "#", ["node-3"])


@pytest.mark.parametrize(
    ("cluster", "status", "words"),
    [
        (Alone(), 200, "ok"),
        (Follower("http://127.0.0.1:1"), 200, "ok"),
        (Follower(why=NoQuorum("1 of 3 voters in reach")), 200, "read-only: 1 of 3 voters in reach"),
        (Follower(), 200, "read-only: no node leads yet"),
        (Follower(why=RingNotReady("nobody found yet")), 503, "nobody found yet"),
    ],
)
async def test_a_node_is_ready_as_long_as_it_can_answer_reads(cluster: Alone, status: int, words: str) -> None:
    async def check() -> str | None:
        return await check_ring(cluster)

    async def more() -> Mapping[str, str | None]:
        return describe_ring(cluster)

    health = Health({"ring": check}, [more])
    async with open_api(replaced={"cluster": cluster, "health": health}) as api:
        answer = await api.client.get("/ready")
        assert answer.status_code == status
        assert words == (await answer.get_json())["parts"]["ring"]


async def test_the_documentation_has_both_answers_of_the_ring() -> None:
    async with open_api() as api:
        record = await (await api.client.get("/swagger/doc.json")).get_json()
        answers = record["paths"]["/ring"]["get"]["responses"]
        assert set(answers["200"]["content"]) == {"application/json"}
        assert "content" not in answers["303"]
        forget = record["paths"]["/ring"]["post"]
        assert list(forget["requestBody"]["content"]) == ["application/x-www-form-urlencoded"]
        assert forget["security"] == [{"apiKey": []}]
        for method, path in (("post", "/certificate"), ("delete", "/certificate/{name}"), ("post", "/token")):
            words = json.dumps(record["paths"][f"/api/v1{path}"][method]["responses"]["503"])
            assert "can't reach a majority" in words
