"""Vault is sealed: every node goes on reading, nobody writes, and all of it comes back by itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.integration.cluster.asking import new_token, path_of, tokens_shown_by, until_written, wish
from tests.integration.site import eventually
from tests.parts.cluster import open_cluster
from tests.parts.node import Node


async def test_a_sealed_vault_leaves_reads_and_says_why_writes_fail(tmp_path: Path) -> None:
    async with open_cluster(tmp_path, vault={"retry_max": 1}) as cluster:
        async with cluster.nodes[0].client() as client:
            public = await client.post("/api/v1/certificate", json=wish("public.example.test"))
            assert public.status_code == 201, public.text
            made = {"issuer": "pebble", "domain": "private.example.test"}
            assert (await client.post("/api/v1/certificate", json=made)).status_code == 201
        for node in cluster.nodes:  # each has a cache of its own
            await eventually(partial(reads, node, "public.example.test"))
        tokens = await tokens_shown_by(cluster.nodes[0])
        await cluster.bao.seal()
        for node in cluster.nodes:
            async with node.client() as client:
                assert (await client.get(path_of("public.example.test"))).json() == public.json()
                assert len((await client.get("/api/v1/certificate/metadata")).json()) == 2
                with_key = await client.get(path_of("private.example.test"))
                assert with_key.status_code == 503, with_key.text
                assert with_key.json()["type"].endswith("/storage-unavailable")
                refused = await client.post("/api/v1/certificate", json=wish("new.example.test"))
                assert refused.status_code == 503, refused.text
                assert refused.json()["type"].endswith("/storage-unavailable")
                assert "Vault is sealed" in refused.json()["detail"] or "not answer" in refused.json()["detail"]
                assert refused.headers["Retry-After"]
                ready = await client.get("/ready")
                assert ready.status_code == 200
                assert "sealed" in ready.json()["parts"]["storage"]
            assert (await new_token(node)).status_code == 503
            assert await tokens_shown_by(node) == tokens
        assert cluster.to_ca.count("POST /order-plz") == 2
        await cluster.bao.unseal()
        for node in cluster.nodes:
            await until_written(node, within=15)
            async with node.client() as client:
                assert (await client.get(path_of("private.example.test"))).json()["private_key"]


async def test_a_leader_that_dies_while_vault_is_sealed_is_followed_when_vault_is_back(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        leader = await cluster.wait_for_leader()
        one, other = cluster.others(leader)
        before = str((await new_token(leader)).json()["id"])
        for node in (one, other):
            await eventually(partial(shows, node, before), within=2)
        await cluster.bao.seal()
        leader.program.kill()
        await eventually(lambda: has_no_leader(one), within=10)
        async with one.client() as client:
            assert (await client.get("/api/v1/certificate/metadata")).status_code == 200
        refused = await new_token(one)
        assert refused.status_code == 503
        assert refused.json()["type"].endswith("/storage-unavailable")
        await cluster.bao.unseal()
        _, after = await until_written(one, within=20)
        assert {before, after} <= await tokens_shown_by(one)
        assert await cluster.wait_for_leader() in {one, other}


async def shows(node: Node, token: str) -> bool:
    return token in await tokens_shown_by(node)


async def reads(node: Node, domain: str) -> bool:
    async with node.client() as client:
        return (await client.get(path_of(domain))).is_success


async def has_no_leader(node: Node) -> bool:
    async with node.anonymous() as client:
        return (await client.get("/ring/leader")).status_code == 503
