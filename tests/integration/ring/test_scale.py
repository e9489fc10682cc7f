"""A cluster with a thousand certificates: every node knows all of them, also one that comes late."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from tests.integration.site import eventually
from tests.parts.cluster import open_cluster
from tests.parts.node import Node
from tests.parts.stock import OWNERS, Stock, fill

_COUNT = 1000
_OWNER = 7


async def test_every_node_shows_the_same_certificates_and_a_late_one_has_them_before_it_is_ready(
    tmp_path: Path,
) -> None:
    async with open_cluster(tmp_path, start=False) as cluster:
        await fill(cluster.bao, _COUNT)
        stock, (first, second, late) = Stock(), cluster.nodes
        expected = [stock.secret(number).certificate for number in range(_OWNER, _COUNT, OWNERS)]
        await cluster.start(first, second)
        first.token = second.token = late.token = await first.new_token(expected[0].owner)
        known = await listed(first)
        assert [(one["domain"], one["serial"]) for one in known] == [(one.domain, one.serial) for one in expected]
        await eventually(partial(opens, second))
        assert await listed(second) == known
        assert await certificates_on(first) == await certificates_on(second) == _COUNT

        await cluster.bao.seal()  # so that it can have them from nobody but its peers
        await cluster.start(late)
        assert await certificates_on(late) == _COUNT
        assert await listed(late) == known


async def listed(node: Node) -> list[dict[str, Any]]:
    async with node.client() as client:
        answer = (await client.get("/api/v1/certificate/metadata")).raise_for_status()
    return sorted(answer.json(), key=lambda one: str(one["domain"]))


async def opens(node: Node) -> bool:
    """Whether a node knows its token yet."""
    async with node.client() as client:
        return (await client.get("/api/v1/certificate/metadata")).is_success


async def certificates_on(node: Node) -> int:
    """How many a node has in its copy of the map."""
    async with node.anonymous(Accept="application/json") as client:
        answer = (await client.get("/memberlist")).raise_for_status()
    return int(answer.json()["statistics"]["map"]["keys"]["certificate"])
