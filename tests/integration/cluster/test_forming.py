"""Three nodes become one service: any of them may be asked for anything."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import httpx
import trio

from acme_manager.domain.token import split_bearer
from tests.integration.cluster.asking import STAMP, path_of, tokens_shown_by, wish
from tests.integration.site import eventually, names
from tests.parts.cluster import Cluster, leader_told_by, members_told_by, open_cluster
from tests.parts.node import AS_ADMINISTRATOR, Node
from tests.parts.openbao import OpenBao

METADATA, EVENTS = "/api/v1/certificate/metadata", "/api/v1/events"


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


async def test_a_change_is_seen_on_every_node_whether_asked_for_or_due_or_made_by_hand(tmp_path: Path) -> None:
    async with open_cluster(tmp_path, flags=("-check-token-interval=500ms",)) as cluster:
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
            assert (await client.delete(path_of(gone), params={"revoke": "true"})).status_code == 204
            assert (await client.get(path_of(gone))).status_code == 404
        for node in cluster.nodes:  # each PUT came with another CSR
            await eventually(partial(has_counted, node, created=6, revoke=1), within=5)
        await a_renewal_wakes_who_waits_elsewhere(leader, follower, f"by-{follower.name}.example.test")
        await tokens_end_in_time(cluster, follower)
        await changes_by_hand_are_taken_up(cluster, follower)


async def a_renewal_wakes_who_waits_elsewhere(leader: Node, asked: Node, domain: str) -> None:
    renewed: list[float] = []

    async def renew() -> None:
        async with leader.client() as client:
            answer = await client.post("/api/v1/certificate/renew", json={"issuer": "pebble", "domain": domain})
            answer.raise_for_status()
        renewed.append(trio.current_time())

    async with asked.client() as client:
        known = (await client.get(EVENTS)).json()["digest"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(renew)
            told = (await client.get(EVENTS, params={"digest": known, "wait": "60"}, timeout=70)).json()
            woken = trio.current_time()
    assert told["changed"]
    assert woken - renewed[0] < 1
    async with leader.client() as client:
        assert (await client.get(EVENTS)).json() == told


async def tokens_end_in_time(cluster: Cluster, asked: Node) -> None:
    token = await asked.new_token("dave", duration="1s")
    id, _ = split_bearer(token)
    await eventually(partial(holds_nothing, cluster.bao, "tokens/dave"), within=10)
    for node in cluster.nodes:
        await eventually(partial(knows_not, node, id), within=2)
        assert not await opens(node, token)


async def changes_by_hand_are_taken_up(cluster: Cluster, asked: Node) -> None:
    """In Vault somebody deletes a certificate and a token, and a node of the Go program would write another one."""
    kept, deleted = (f"by-{node.name}.example.test" for node in cluster.others(await cluster.wait_for_leader()))
    bearer = await asked.new_token("erin")
    [token] = await cluster.bao.keys("tokens/erin")
    secret = await cluster.bao.read(f"certificates/alice/pebble/{kept}")
    assert secret is not None
    await cluster.bao.write("certificates/alice/by-hand", secret | {"name": "by-hand"})
    await cluster.bao.api("DELETE", f"secret/data/certificates/alice/pebble/{deleted}")
    await cluster.bao.api("DELETE", f"secret/data/tokens/erin/{token}")
    async with asked.anonymous(**AS_ADMINISTRATOR) as client:
        found = (await client.post("/api/v1/operations/resync")).raise_for_status().json()
    assert found["certificates_changed"]["keys"] == ["alice/by-hand"]
    assert found["certificates_gone"]["keys"] == [f"alice/pebble/{deleted}"]
    assert found["tokens_gone"]["keys"] == [token]
    for node in cluster.nodes:
        await eventually(partial(lists, node, {(kept, ""), (kept, "by-hand")}), within=2)
        assert not await opens(node, bearer)


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


async def has_counted(node: Node, **counts: int) -> bool:
    async with node.anonymous() as client:
        text = (await client.get("/metrics")).text
    found = {name: re.findall(rf"^acme_manager_certificate_{name}{{.*}} (\S+)$", text, re.MULTILINE) for name in counts}
    return {name: sum(map(float, values)) for name, values in found.items()} == counts


async def holds_nothing(bao: OpenBao, prefix: str) -> bool:
    return not await bao.keys(prefix)


async def knows_not(node: Node, token_id: str) -> bool:
    return token_id not in await tokens_shown_by(node)


async def lists(node: Node, expected: set[tuple[str, str]]) -> bool:
    async with node.client() as client:
        listed = (await client.get(METADATA)).json()
    return {(one["domain"], one.get("name", "")) for one in listed} == expected


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
