"""The network is cut: the majority goes on, the minority reads, and both agree again once it is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from tests.integration.cluster.asking import new_token, path_of, tokens_shown_by, until_written, wish
from tests.integration.site import eventually
from tests.parts.cluster import Cluster, leader_told_by, open_cluster
from tests.parts.hosts import Network, open_hosts
from tests.parts.node import Node

pytestmark = pytest.mark.usefixtures("hosts_can_be_made")
HOSTS = ["n1", "n2", "n3"]


async def test_a_leader_that_is_cut_off_stops_writing_before_the_majority_begins(tmp_path: Path) -> None:
    async with open_site(tmp_path) as (network, cluster):
        leader = await cluster.wait_for_leader()
        majority = cluster.others(leader)
        async with leader.client() as client:
            created = await client.post("/api/v1/certificate", json=wish("www.example.test"))
            assert created.status_code == 201, created.text
        await network.cut_off(leader.program.place)
        taken_over, token = await until_written(majority[0], within=15)
        assert taken_over < 10
        refused = await new_token(leader)
        assert refused.status_code == 503, refused.text
        async with leader.client() as client:
            assert (await client.get(path_of("www.example.test"))).json() == created.json()
            assert (await client.get("/ready")).json()["parts"]["ring"].startswith("read-only")
        await network.heal()
        await until_written(leader, within=30)
        assert token in await tokens_shown_by(leader)
        await cluster.wait_for_leader()


async def test_what_was_deleted_meanwhile_stays_deleted_when_a_node_comes_back(tmp_path: Path) -> None:
    async with open_site(tmp_path) as (network, cluster):
        leader = await cluster.wait_for_leader()
        one, alone = cluster.others(leader)
        token = (await new_token(one)).json()["id"]
        async with one.client() as client:
            for domain in ("stays.example.test", "goes.example.test"):
                created = await client.post("/api/v1/certificate", json=wish(domain))
                assert created.status_code == 201, created.text
        await eventually(partial(holds, alone, "goes.example.test", token), within=5)
        await network.cut_off(alone.program.place)
        await eventually(lambda: has_no_leader(alone), within=15)
        async with one.client() as client, one.anonymous(**{"X-API-Key": "the administrator's key"}) as administrator:
            assert (await client.delete(path_of("goes.example.test"))).status_code == 204
            assert (await administrator.delete(f"/api/v1/token/{token}")).status_code == 204
        assert await holds(alone, "goes.example.test", token)  # it can't know yet
        await network.heal()
        await eventually(lambda: has_leader(alone), within=30)
        await eventually(lambda: lacks(alone, "goes.example.test", token), within=10)
        for node in cluster.nodes:
            assert await lacks(node, "goes.example.test", token)
            async with node.client() as client:
                assert (await client.get(path_of("stays.example.test"))).status_code == 200
        assert await cluster.bao.read("certificates/alice/pebble/goes.example.test") is None


async def test_a_node_that_is_heard_but_hears_nothing_does_not_disturb_the_others(tmp_path: Path) -> None:
    async with open_site(tmp_path) as (network, cluster):
        leader = await cluster.wait_for_leader()
        deaf, other = cluster.others(leader)
        for place in network.everybody:
            if place is not deaf.program.place:
                await network.one_way(place, deaf.program.place)
        with trio.move_on_after(10):
            while True:
                answer = await new_token(leader)
                assert answer.is_success, answer.text
                await trio.sleep(0.2)
        assert await leader_told_by(other) == leader.name
        await network.heal()
        await until_written(deaf, within=30)
        assert await cluster.wait_for_leader() is leader


async def test_a_slow_and_lossy_network_is_enough_to_write(tmp_path: Path) -> None:
    async with open_site(tmp_path) as (network, cluster):
        await network.delay(0.1)
        await network.loss(0.1)
        for node in cluster.nodes:
            await until_written(node, within=30)


@asynccontextmanager
async def open_site(folder: Path) -> AsyncIterator[tuple[Network, Cluster]]:
    async with open_hosts(folder, HOSTS) as network, open_cluster(folder, network=network) as cluster:
        yield network, cluster


async def holds(node: Node, domain: str, token: str) -> bool:
    async with node.client() as client:
        read = await client.get(path_of(domain))
    return read.status_code == httpx.codes.OK and token in await tokens_shown_by(node)


async def lacks(node: Node, domain: str, token: str) -> bool:
    async with node.client() as client:
        read = await client.get(path_of(domain))
    return read.status_code == httpx.codes.NOT_FOUND and token not in await tokens_shown_by(node)


async def has_leader(node: Node) -> bool:
    return await leader_told_by(node) is not None


async def has_no_leader(node: Node) -> bool:
    return await leader_told_by(node) is None
