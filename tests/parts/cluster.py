"""Nodes of ours that are one cluster, with everything around them: on loopback addresses, or on hosts of their own."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio

from tests.parts.bind import bind
from tests.parts.dns_server import DnsServer
from tests.parts.faults import FaultProxy, fault_proxy
from tests.parts.hosts import Network
from tests.parts.node import Node, new_node
from tests.parts.openbao import OpenBao, openbao
from tests.parts.pebble import Pebble, pebble
from tests.parts.place import Place
from tests.parts.program import lasting_ports

ZONE = "example.test"
_LOOK = 0.05  # seconds between two looks at who leads
_ANSWER = 2.0  # seconds that a node may take to say so
_JSON = {"Accept": "application/json"}


@attrs.frozen(kw_only=True)
class Cluster:
    """Nodes, and what they share. They reach CA and store through proxies that pass everything unless told otherwise.

    Name `n2.example.test` is the address of the node n2, where the CA asks for http-01. The issuer `pebble` uses
    dns-01, `web` uses http-01.
    """

    nodes: Sequence[Node]
    bao: OpenBao
    ca: Pebble
    dns: DnsServer
    to_ca: FaultProxy
    to_bao: FaultProxy

    @property
    def names(self) -> list[str]:
        """The nodes' instance ids."""
        return [node.name for node in self.nodes]

    def others(self, *nodes: Node) -> list[Node]:
        """All nodes but these."""
        return [node for node in self.nodes if node not in nodes]

    async def leader(self, among: Collection[Node] = ()) -> Node | None:
        """Who leads, if all nodes (or these) that run say the same, and it is one of them."""
        asked = [node for node in among or self.nodes if node.program.alive]
        told: set[str | None] = set()

        async def ask(node: Node) -> None:
            told.add(await leader_told_by(node))

        async with trio.open_nursery() as nursery:
            for node in asked:
                nursery.start_soon(ask, node)
        return next((node for node in asked if told == {node.name}), None)

    async def wait_for_leader(self, among: Collection[Node] = (), *, within: float = 20.0) -> Node:
        """Wait until all nodes (or these) that run agree on who leads. Raises trio.TooSlowError."""
        with trio.fail_after(within):
            while (found := await self.leader(among)) is None:  # noqa: ASYNC110 nodes set no events of ours
                await trio.sleep(_LOOK)
        return found

    async def wait_until_formed(self, *, within: float = 30.0) -> Node:
        """Wait until the nodes agree on who leads and that each of them is a voter; returns the leader.

        Raises trio.TooSlowError.
        """
        with trio.fail_after(within):
            while True:
                leader = await self.wait_for_leader()
                told = [await members_told_by(node) for node in self.nodes if node.program.alive]
                if all(name in one and one[name]["voter"] for one in told for name in self.names):
                    return leader
                await trio.sleep(_LOOK)

    async def start(self, *nodes: Node, ready: bool = True) -> None:
        """Start nodes (by default all) at once, and wait until they answer."""
        async with trio.open_nursery() as nursery:
            for node in nodes or self.nodes:
                node.program.start()
                nursery.start_soon(lambda one: one.answering(ready=ready), node)


async def leader_told_by(node: Node) -> str | None:
    """Whom a node calls the leader; None when it knows none, or does not answer."""
    try:
        async with node.anonymous() as client:
            answer = await client.get("/ring/leader", timeout=_ANSWER)
    except httpx.TransportError:
        return None
    return str(answer.json()["name"]) if answer.is_success else None


async def members_told_by(node: Node) -> dict[str, dict[str, Any]]:
    """What a node shows on `/ring`, by the members' ids."""
    async with node.anonymous(**_JSON) as client:
        answer = (await client.get("/ring", timeout=_ANSWER)).raise_for_status()
    return {str(shard["id"]): dict(shard) for shard in answer.json()["shards"]}


@asynccontextmanager
async def open_cluster(
    folder: Path,
    *,
    count: int = 3,
    network: Network | None = None,
    flags: tuple[str, ...] = (),
    validity: int = 90 * 86400,
    tls_port: int | None = None,
    start: bool = True,
    issuer: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Cluster]:
    """Start everything, the nodes on a network's hosts if there is one; `flags` are for all nodes.

    `validity` of certificates is in seconds, `tls_port` is where the CA asks for tls-alpn-01, `issuer` are settings
    that all issuers have besides, `options` are those of `new_node`. With `start` false no node runs yet, and none has
    a token.
    """
    places = network.hosts if network else [Place(f"n{number}", f"127.0.0.{number}") for number in range(1, count + 1)]
    api_port, ring_port = (8989, 7946) if network else lasting_ports(2)
    records = {ZONE: ["* A " + places[0].address, *(f"{place.name} A {place.address}" for place in places)]}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dns = await enter(bind(folder, {ZONE: "zonesub TXT"}, records=records))
        bao = await enter(openbao(folder))
        ca = await enter(pebble(folder, dns=dns.at, http_port=api_port, tls_port=tls_port, validity=validity))
        to_ca = await enter(fault_proxy(ca.directory.removesuffix("/dir")))
        to_bao = await enter(fault_proxy(bao.url))
        shared = {
            "ca_dir_url": f"{to_ca.url}/dir",
            "ca_bundle": str(ca.ca_pem),
            "overall_request_limit": 1000,  # no brake
            **(issuer or {}),
        }
        issuers: Mapping[str, Mapping[str, Any]] = {
            "pebble": {**shared, "dns_challenge": "rfc2136"},
            "web": {**shared, "http_challenge": "kvring"},
        }
        settings = {
            "bao": attrs.evolve(bao, url=to_bao.url),
            "issuers": issuers,
            "dns": dns,
            "port": api_port,
            **options,
        }
        nodes = []
        for place in places:
            with place.here():
                ours = (*ring_flags(place, ring_port, [one for one in places if one is not place]), *flags)
                nodes.append(new_node(folder, name=place.name, flags=ours, **settings))
            stack.callback(nodes[-1].program.kill)
        cluster = Cluster(nodes=nodes, bao=bao, ca=ca, dns=dns, to_ca=to_ca, to_bao=to_bao)
        if start:
            await cluster.start()
            leader = await cluster.wait_until_formed()
            token = await leader.new_token()
            for node in nodes:
                node.token = token
        yield cluster


def ring_flags(place: Place, port: int, others: Sequence[Place]) -> tuple[str, ...]:
    """What makes a node a member of a ring with these others."""
    return (
        f"-ring.instance-id={place.name}",
        f"-ring.instance-addr={place.address}",
        f"-ring.instance-port={port}",
        f"-ring.join-members={','.join(f'{other.address}:{port}' for other in others)}",
    )


async def stop_gracefully(node: Node) -> float:
    """Stop a node as systemd does; how many seconds that took. Raises AssertionError unless it ended well."""
    began = trio.current_time()
    await node.program.stop(signal.SIGTERM, within=20)
    assert node.program.returncode == 0, node.program.log()[-3000:]
    return trio.current_time() - began
