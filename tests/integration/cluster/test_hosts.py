"""The hosts and the switch between them do what the tests of a cluster rely on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from acme_manager.structure import background
from tests.parts.hosts import Network, open_hosts
from tests.parts.place import THIS_MACHINE, Place

pytestmark = pytest.mark.usefixtures("hosts_can_be_made")
PORT = 7


async def test_hosts_reach_each_other_and_nothing_else_does(tmp_path: Path) -> None:
    async with open_hosts(tmp_path, ["a", "b"]) as network, echoing(network):
        a, b = network.hosts
        assert await round_trip(a, b) < 0.2
        assert await round_trip(network.services, a) < 0.2
        with THIS_MACHINE.here(), pytest.raises(OSError):  # noqa: PT011 no route, or nobody there
            await talk(b)
        with a.here(), pytest.raises(OSError, match="failed"):
            await trio.open_tcp_stream("198.51.100.1", 80)


async def test_a_host_that_is_cut_off_hears_and_reaches_nobody_until_it_heals(tmp_path: Path) -> None:
    async with open_hosts(tmp_path, ["a", "b", "c"]) as network, echoing(network):
        a, b, c = network.hosts
        await network.cut_off(a)
        assert await heard(a, b) == 0
        assert await heard(b, a) == 0
        assert await heard(network.services, a) == 0
        assert await heard(b, c) == 20
        assert await round_trip(a, a) < 0.2
        await network.heal()
        with trio.fail_after(10):  # a's kernel asks for b's hardware address once a second
            while await heard(a, b) < 20:
                pass


async def test_a_one_way_cut_lets_the_other_way_through(tmp_path: Path) -> None:
    async with open_hosts(tmp_path, ["a", "b"]) as network, echoing(network):
        a, b = network.hosts
        assert await heard(a, b) == 20  # and each knows the other's hardware address now
        await network.one_way(a, b)
        assert await heard(a, b) == 0
        assert await heard(b, a) == 20


async def test_loss_and_delay_are_those_asked_for(tmp_path: Path) -> None:
    async with open_hosts(tmp_path, ["a", "b"]) as network, echoing(network):
        a, b = network.hosts
        await network.delay(0.1)
        assert 0.2 <= await round_trip(a, b, connects=False) < 0.5
        await network.heal()
        await network.loss(0.3)
        assert 0.55 < await heard(a, b, 1000) / 1000 < 0.85
        await network.heal()
        assert await heard(a, b, 1000) == 1000


async def test_a_whole_megabyte_arrives_unharmed(tmp_path: Path) -> None:
    async with open_hosts(tmp_path, ["a", "b"]) as network, echoing(network):
        a, b = network.hosts
        await network.loss(0.02)
        sent = bytes(range(256)) * 4096
        with a.here(), trio.fail_after(30):
            assert await talk(b, sent) == sent


@asynccontextmanager
async def echoing(network: Network) -> AsyncIterator[None]:
    """Send back what comes over TCP, at every host."""
    async with background() as nursery:
        for host in network.everybody:
            with host.here():
                listeners = await trio.open_tcp_listeners(PORT, host=host.address)
                nursery.start_soon(trio.serve_listeners, _echo, listeners)
        yield


async def _echo(stream: trio.SocketStream) -> None:
    async with stream:
        async for data in stream:
            await stream.send_all(data)


async def talk(to: Place, what: bytes = b"hello") -> bytes:
    with trio.fail_after(30):
        async with await trio.open_tcp_stream(to.address, PORT) as stream:
            answer = b""
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, what)
                while len(answer) < len(what):
                    answer += await stream.receive_some()
            return answer


async def round_trip(source: Place, to: Place, *, connects: bool = True) -> float:
    """Seconds until an answer is there, with or without the time to connect."""
    with source.here(), trio.fail_after(5):
        began = trio.current_time()
        async with await trio.open_tcp_stream(to.address, PORT) as stream:
            if not connects:
                began = trio.current_time()
            await stream.send_all(b"x")
            await stream.receive_some()
            return trio.current_time() - began


async def heard(source: Place, to: Place, count: int = 20) -> int:
    """How many of so many datagrams arrive."""
    with to.here():
        ear = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
    with source.here():
        mouth = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
    arrived = 0
    with ear, mouth:
        await ear.bind((to.address, 0))
        for number in range(count):
            await mouth.sendto(b"%d" % number, ear.getsockname())
            if number % 50 == 49:  # more than that a socket may not hold
                arrived += await drained(ear)
        return arrived + await drained(ear)


async def drained(ear: trio.socket.SocketType) -> int:
    """How many datagrams come until there is silence."""
    arrived = 0
    while True:
        with trio.move_on_after(0.1) as silence:
            await ear.recv(100)
        if silence.cancelled_caught:
            return arrived
        arrived += 1
