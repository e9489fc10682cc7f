"""Three nodes on real sockets and real time, each on a loopback address of its own."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import attrs
import pytest
import trio

from acme_manager.errors import Unavailable
from acme_manager.ring.addresses import Place
from acme_manager.ring.cluster import Ring, open_ring
from acme_manager.ring.config import RingConfig
from acme_manager.ring.envelope import Envelope
from acme_manager.ring.fencing import MemoryFence
from acme_manager.ring.join import Lookup, Seed
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.settings import RingSettings
from acme_manager.ring.transport import UdpTcpTransport
from tests.parts.program import free_port


class SystemTime:
    """The real clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 this is a clock adapter


@attrs.define(eq=False)
class Running:
    ring: Ring
    scope: trio.CancelScope


async def _run(
    number: int, port: int, fences: MemoryFence, envelope: Envelope, *, task_status: trio.TaskStatus[Running]
) -> None:
    hosts = [f"127.0.0.{other}" for other in (1, 2, 3)]
    host = hosts[number - 1]
    settings = RingSettings(
        name=f"n{number}",
        place=Place(bind=(host, port), host=host),
        api_url=f"http://{host}:8989",
        seeds=tuple(Seed(Lookup.LITERAL, other, port) for other in hosts),
        guess_seeds=False,
        envelope=envelope,
        config=RingConfig(sealed=envelope.keyring is not None),
    )
    with trio.CancelScope() as scope, UdpTcpTransport.bind(host, port) as transport:
        async with open_ring(
            settings, transport=transport, fences=fences, clock=SystemTime(), rng=random.Random(number)
        ) as ring:
            task_status.started(Running(ring, scope))
            await trio.sleep_forever()


@asynccontextmanager
async def three(envelope: Envelope) -> AsyncIterator[list[Running]]:
    fences, port = MemoryFence(), free_port("0.0.0.0")
    async with trio.open_nursery() as nursery:
        nodes = [await nursery.start(_run, number, port, fences, envelope) for number in (1, 2, 3)]
        yield nodes
        nursery.cancel_scope.cancel()


async def agreed(nodes: list[Running], within: float = 10.0) -> Running:
    with trio.fail_after(within):
        while True:
            leaders = [node for node in nodes if node.ring.leads()]
            if len(leaders) == 1 and {node.ring.leader() for node in nodes} == {leaders[0].ring.name}:
                return leaders[0]
            await trio.sleep(0.01)


async def all_have(nodes: list[Running], key: str, value: bytes, within: float) -> None:
    with trio.fail_after(within):
        while any(node.ring.get(key) != value for node in nodes):  # noqa: ASYNC110 gossip sets no event here
            await trio.sleep(0.005)


@pytest.mark.parametrize(
    "envelope", [Envelope(), Envelope(label=b"x", keyring=Keyring(bytes(32)))], ids=["open", "sealed"]
)
async def test_three_nodes_share_writes_within_a_second_and_survive_their_leader(envelope: Envelope) -> None:
    async with three(envelope) as nodes:
        leader = await agreed(nodes)
        for number in range(500):
            leader.ring.put(f"certificate/{number}", bytes(400))
        await all_have(nodes, "certificate/499", bytes(400), 5.0)
        follower = next(node for node in nodes if node is not leader)
        for number in range(20):
            leader.ring.put("certificate/now", bytes([number]))
            with trio.fail_after(1.0):
                await follower.ring.wait_for(leader.ring.stamp())
            assert follower.ring.get("certificate/now") == bytes([number])
        with trio.fail_after(10):
            while len(leader.ring.statistics()["voters"]) < 3:  # noqa: ASYNC110 the leader adds one at a time
                await trio.sleep(0.02)
        await trio.sleep(3.2)  # who has just started may not vote for another
        leader.scope.cancel()  # at once, but it still gives its lease back
        rest = [node for node in nodes if node is not leader]
        began = trio.current_time()
        with trio.fail_after(10):
            while not any(node.ring.leads() for node in rest):  # noqa: ASYNC110 a vote sets no event here
                await trio.sleep(0.01)
        assert trio.current_time() - began < 2.0
        new = await agreed(rest)
        new.ring.put("certificate/after", b"1")
        await all_have(rest, "certificate/after", b"1", 1.0)
        with pytest.raises(Unavailable):
            leader.ring.put("certificate/late", b"1")
