"""A fleet is replaced, and the old certificates revoked, while the leader dies halfway."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.integration.cluster.clients import OWNER
from tests.integration.cluster.observers import OrderBook
from tests.integration.site import eventually
from tests.parts.cluster import ZONE, Cluster, open_cluster
from tests.parts.node import AS_ADMINISTRATOR, Node

FLEET = 60
AT_ONCE = 8  # requests; more wedge Pebble
OPERATIONS = "/api/v1/operations"
METADATA = "/api/v1/certificate/metadata"


async def test_a_fleet_is_replaced_once_and_its_old_certificates_revoked_though_the_leader_dies_halfway(
    tmp_path: Path,
) -> None:
    async with open_cluster(tmp_path) as cluster:
        book = OrderBook(cluster.to_ca, cluster.to_bao)
        await make(cluster.nodes[0])
        leader = await cluster.wait_for_leader()
        follower, other = cluster.others(leader)
        await eventually(partial(shows_all, follower), within=10)
        old = await metadata(follower)
        async with follower.anonymous(**AS_ADMINISTRATOR) as client:
            begun = await client.post(f"{OPERATIONS}/replace", json={"owners": [OWNER], "revoke": True})
        assert (begun.status_code, begun.headers["Location"]) == (202, f"{OPERATIONS}/1")
        assert begun.json()["total"] == FLEET
        await eventually(partial(halfway, other), within=60)
        leader.program.kill()
        await eventually(partial(is_done, follower), within=90)
        await eventually(partial(is_done, other), within=5)
        await eventually(partial(no_order_is_left, cluster), within=10)
        new = await metadata(follower)
        assert [one["renewal_count"] for one in new] == [1] * FLEET
        assert not {one["serial"] for one in old} & {one["serial"] for one in new}
        # Orders that the leader had placed when it died, and not yet written down, come to nothing.
        recorded = [order for order in book.orders if order.recorded]
        assert len(recorded) == 2 * FLEET
        assert {await cluster.ca.status(int(one["serial"], 16)) for one in old} == {"Revoked"}
        assert {await cluster.ca.status(int(one["serial"], 16)) for one in new} == {"Valid"}


async def make(node: Node) -> None:
    limit = trio.CapacityLimiter(AT_ONCE)

    async def one(client: httpx.AsyncClient, number: int) -> None:
        async with limit:
            body = {"issuer": "pebble", "domain": f"f{number}.{ZONE}"}
            answer = await client.post("/api/v1/certificate", json=body)
        assert answer.status_code == 201, answer.text

    async with node.client() as client, trio.open_nursery() as nursery:
        for number in range(FLEET):
            nursery.start_soon(one, client, number)


async def metadata(node: Node) -> list[dict[str, Any]]:
    async with node.client() as client:
        return list((await client.get(METADATA, timeout=10)).raise_for_status().json())


async def shows_all(node: Node) -> bool:
    return len(await metadata(node)) == FLEET


async def operation(node: Node) -> dict[str, Any]:
    """What a node shows of it; nothing, where its copy does not have it yet."""
    async with node.anonymous(**AS_ADMINISTRATOR) as client:
        answer = await client.get(f"{OPERATIONS}/1", timeout=10)
    return {} if answer.status_code == 404 else dict(answer.raise_for_status().json())


async def halfway(node: Node) -> bool:
    return bool((await operation(node)).get("done", 0) >= FLEET / 2)


async def is_done(node: Node) -> bool:
    return bool((await operation(node)).get("state") == "done")


async def no_order_is_left(cluster: Cluster) -> bool:
    return await cluster.bao.keys("certificates/.acme-manager/orders") == []
