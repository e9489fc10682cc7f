"""Three nodes become one service: any of them may be asked for anything."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import httpx

from tests.integration.cluster.asking import STAMP, path_of, tokens_shown_by, wish
from tests.integration.site import eventually, names
from tests.parts.cluster import leader_told_by, members_told_by, open_cluster
from tests.parts.node import Node

METADATA = "/api/v1/certificate/metadata"


async def test_three_nodes_agree_on_who_is_there_who_leads_and_who_may_ask(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        leader = await cluster.wait_for_leader()
        for node in cluster.nodes:
            shown = await members_told_by(node)
            assert sorted(shown) == cluster.names
            assert [name for name, shard in shown.items() if shard["leader"]] == [leader.name]
            assert [name for name, shard in shown.items() if 0 in shard["tokens"]] == [leader.name]
            assert {shard["state"] for shard in shown.values()} == {"ACTIVE"}
            assert {name: shard["url"] for name, shard in shown.items()} == {
                other.name: other.url for other in cluster.nodes
            }
        roles = sorted([await role_of(node) for node in cluster.nodes])
        assert roles == [1, 2, 2]
        token = await cluster.nodes[0].new_token("carol")
        for node in cluster.nodes:
            await eventually(partial(opens, node, token), within=2)


async def test_a_write_through_any_node_is_seen_there_at_once_and_everywhere_soon(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        leader = await cluster.wait_for_leader()
        for node in cluster.nodes:
            domain = f"by-{node.name}.example.test"
            async with node.client() as client:
                created = await client.post("/api/v1/certificate", json=wish(domain))
                assert created.status_code == 201, created.text
                assert created.headers[STAMP]
                assert (await client.get(path_of(domain))).json() == created.json()
                changed = await client.put("/api/v1/certificate", json=wish(domain) | {"labels": "a=b"})
                assert changed.status_code == 200, changed.text
                assert (await client.get(path_of(domain))).json()["labels"] == "a=b"
            for other in cluster.others(node):
                await eventually(partial(shows, other, domain, "a=b"), within=2)
        follower = cluster.others(leader)[0]
        async with follower.client() as client:
            gone = f"by-{leader.name}.example.test"
            assert (await client.delete(path_of(gone))).status_code == 204
            assert (await client.get(path_of(gone))).status_code == 404


async def test_http_01_is_answered_by_whichever_node_the_ca_asks(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster, cluster.nodes[0].client() as client:
        for node in cluster.nodes:
            domain = f"{node.name}.example.test"
            created = await client.post("/api/v1/certificate", json=wish(domain, "web"))
            assert created.status_code == 201, created.text
            assert names(created.json()) == {domain}
            assert asked_for_challenge(node)  # Pebble asks three times


async def test_a_node_that_starts_without_storage_has_its_state_from_the_others(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        leader = await cluster.wait_for_leader()
        late = cluster.others(leader)[0]
        async with leader.client() as client:
            created = await client.post("/api/v1/certificate", json=wish("www.example.test"))
            assert created.status_code == 201, created.text
            late.program.kill()
            meanwhile = (await client.post("/api/v1/certificate", json=wish("new.example.test"))).json()
        await cluster.bao.seal()
        await cluster.start(late)
        async with late.client() as client:
            listed = (await client.get(METADATA)).json()
        assert {one["serial"] for one in listed} == {created.json()["serial"], meanwhile["serial"]}
        assert await tokens_shown_by(late) == await tokens_shown_by(leader)
        assert await leader_told_by(late) == leader.name


async def opens(node: Node, token: str) -> bool:
    async with node.client(token) as client:
        return (await client.get(METADATA)).is_success


async def role_of(node: Node) -> int:
    async with node.anonymous() as client:
        found = re.search(r"^acme_manager_node_role (\d)", (await client.get("/metrics")).text, re.MULTILINE)
    assert found
    return int(found[1])


async def shows(node: Node, domain: str, labels: str) -> bool:
    async with node.client() as client:
        answer = await client.get(path_of(domain))
    return answer.status_code == httpx.codes.OK and answer.json()["labels"] == labels


def asked_for_challenge(node: Node) -> int:
    """How often somebody asked it for an http-01 answer, and got one."""
    return len(re.findall(r"path=/\.well-known/acme-challenge/\S+ status_code=200", node.program.log()))
