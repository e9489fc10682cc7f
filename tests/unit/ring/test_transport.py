"""The ring's sockets, and the network in memory that stands in for them."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from acme_manager.ring import transport as module
from acme_manager.ring.memory import MemoryNetwork, MemoryTransport, Weather
from acme_manager.ring.transport import Handler, Transport, UdpTcpTransport
from acme_manager.ring.types import Address
from acme_manager.structure import background

LOOPBACK = "127.0.0.1"
Pair = tuple[Transport, Transport]


def _real() -> tuple[UdpTcpTransport, UdpTcpTransport]:
    return UdpTcpTransport.bind(LOOPBACK, 0), UdpTcpTransport.bind(LOOPBACK, 0)


def _in_memory() -> tuple[MemoryTransport, MemoryTransport]:
    network = MemoryNetwork(random.Random(1))
    return network.transport("10.0.0.1"), network.transport("10.0.0.2")


@pytest.fixture(params=[_real, _in_memory], ids=["sockets", "memory"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    here, there = request.param()
    with here, there:
        yield here, there


def serving(transport: Transport, handle: Handler, patience: float = 5.0) -> AbstractAsyncContextManager[trio.Nursery]:
    return background(partial(transport.serve, handle, patience))


async def echo(stream: trio.abc.Stream, peer: Address) -> None:
    await stream.send_all(await stream.receive_some(100) + peer[0].encode())


async def test_a_packet_arrives_whole_and_says_where_it_came_from(pair: Pair) -> None:
    here, there = pair
    longest = bytes(60_000)
    here.send(there.address, longest)
    assert await there.receive() == (longest, here.address)
    assert (here.traffic.packets_out, here.traffic.bytes_out) == (1, 60_000)
    assert (there.traffic.packets_in, there.traffic.bytes_in) == (1, 60_000)


async def test_a_stream_is_answered_and_then_closed(pair: Pair) -> None:
    here, there = pair
    async with serving(there, echo):
        stream = await here.dial(there.address)
        async with stream:
            await stream.send_all(b"from ")
            assert await stream.receive_some(100) == b"from " + here.address[0].encode()
            assert await stream.receive_some(100) == b""
    assert (here.traffic.streams_out, there.traffic.streams_in, there.traffic.streams_failed) == (1, 1, 0)


async def test_a_handler_that_raises_closes_its_connection_and_nothing_else(pair: Pair) -> None:
    async def fail_first(stream: trio.abc.Stream, peer: Address) -> None:
        if await stream.receive_some(100) == b"fail":
            raise ValueError("as asked")
        await stream.send_all(b"still here")

    here, there = pair
    async with serving(there, fail_first):
        for said, answer in ((b"fail", b""), (b"well", b"still here")):
            async with await here.dial(there.address) as stream:
                await stream.send_all(said)
                assert await stream.receive_some(100) == answer
    assert there.traffic.streams_failed == 1


async def test_a_peer_that_says_nothing_is_hung_up_on(pair: Pair) -> None:
    here, there = pair
    async with serving(there, echo, patience=0.05), await here.dial(there.address) as stream:
        assert await stream.receive_some(100) == b""
    assert there.traffic.streams_failed == 1


async def test_more_connections_than_the_bound_are_closed_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STREAMS", 2)
    here, there = pair
    async with serving(there, echo):
        first, second, third = [await here.dial(there.address) for _ in range(3)]
        assert await third.receive_some(100) == b""
        for stream in (first, second):
            await stream.send_all(b"x")
            assert (await stream.receive_some(100)).startswith(b"x")
        for stream in (first, second, third):
            await stream.aclose()
    assert there.traffic.streams_refused == 1


async def test_a_refused_connection_is_an_os_error(pair: Pair) -> None:
    here, _ = pair
    nobody = ("127.0.0.1", 1) if isinstance(here, UdpTcpTransport) else ("10.0.0.9", 1)
    with pytest.raises(OSError, match=r"refused|nobody"):
        await here.dial(nobody)


@pytest.mark.parametrize(
    ("to", "size"),
    [((LOOPBACK, 9), 70_000), ((LOOPBACK, 0), 1), ((LOOPBACK, 99_999), 1), (("::1", 9), 1), (("not an address", 9), 1)],
)
async def test_a_packet_that_cannot_be_sent_is_counted_and_no_error(to: Address, size: int) -> None:
    with UdpTcpTransport.bind(LOOPBACK, 0) as here:
        here.send(to, bytes(size))
        assert (here.traffic.packet_errors, here.traffic.packets_out) == (1, 0)


async def test_datagrams_and_connections_share_a_port_that_is_free_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    real, attempts = module._bound, []

    def bound(family: int, kind: int, host: str, port: int) -> socket.socket:
        if kind == socket.SOCK_DGRAM:
            attempts.append(port)
            if len(attempts) == 1:
                taken = real(family, kind, host, port)
                try:
                    return real(family, kind, host, port)
                finally:
                    taken.close()
        return real(family, kind, host, port)

    monkeypatch.setattr(module, "_bound", bound)
    with UdpTcpTransport.bind(LOOPBACK, 0) as here:
        assert len(attempts) == 2
        assert here.address == (LOOPBACK, attempts[1])


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error() -> None:
    with UdpTcpTransport.bind(LOOPBACK, 0) as here, pytest.raises(OSError, match="in use"):
        UdpTcpTransport.bind(*here.address)


async def test_it_listens_on_ipv6_too() -> None:
    try:
        here = UdpTcpTransport.bind("::1", 0)
    except OSError:
        pytest.skip("this host has no IPv6")
    with here:
        here.send(here.address, b"x")
        assert await here.receive() == (b"x", here.address)


async def test_a_burst_fits_the_receive_buffer() -> None:
    with UdpTcpTransport.bind(LOOPBACK, 0) as here, UdpTcpTransport.bind(LOOPBACK, 0) as there:
        for _ in range(400):
            here.send(there.address, bytes(1400))
        with trio.fail_after(5):
            for _ in range(400):
                await there.receive()


# --- the network in memory ---------------------------------------------------------------------------------------


def virtually(body: Callable[[MemoryNetwork], object], weather: Weather | None = None) -> None:
    trio.run(partial(body, MemoryNetwork(random.Random(7), weather)), clock=MockClock(autojump_threshold=0))  # type: ignore[arg-type]


async def _drain(end: MemoryTransport, seconds: float) -> list[tuple[float, bytes]]:
    got: list[tuple[float, bytes]] = []
    with trio.move_on_after(seconds):
        while True:
            datagram, _ = await end.receive()
            got.append((trio.current_time(), datagram))
    return got


def test_packets_take_exactly_the_delay() -> None:
    async def body(network: MemoryNetwork) -> None:
        here, there = network.transport("a"), network.transport("b")
        sent = trio.current_time()
        here.send(there.address, b"x")
        [(at, _)] = await _drain(there, 10)
        assert at - sent == pytest.approx(0.25)

    virtually(body, Weather(delay=0.25))


def test_packets_may_be_lost_doubled_and_overtaken() -> None:
    async def body(network: MemoryNetwork) -> None:
        here, there = network.transport("a"), network.transport("b")
        for number in range(200):
            here.send(there.address, bytes([number]))
        numbers = [datagram[0] for _, datagram in await _drain(there, 10)]
        assert numbers != sorted(numbers)
        assert 80 < len(set(numbers)) < 120
        assert len(numbers) - len(set(numbers)) > 5

    virtually(body, Weather(jitter=1.0, loss=0.5, duplication=0.2))


def test_a_cut_is_one_way_and_heals() -> None:
    async def body(network: MemoryNetwork) -> None:
        here, there = network.transport("a"), network.transport("b")
        network.cut("a", "b")
        here.send(there.address, b"lost")
        there.send(here.address, b"arrives")
        assert [datagram for _, datagram in await _drain(here, 1)] == [b"arrives"]
        assert await _drain(there, 1) == []
        with trio.move_on_after(60) as patience:
            await there.dial(here.address)
        assert patience.cancelled_caught
        network.heal()
        here.send(there.address, b"again")
        assert [datagram for _, datagram in await _drain(there, 1)] == [b"again"]

    virtually(body)


def test_groups_of_a_partition_only_talk_among_themselves() -> None:
    async def body(network: MemoryNetwork) -> None:
        ends = {name: network.transport(name) for name in "abcx"}
        network.partition({"a"}, {"b", "c"})
        for source in ends.values():
            for target in ends.values():
                source.send(target.address, source.address[0].encode())
        heard = {name: {datagram.decode() for _, datagram in await _drain(end, 1)} for name, end in ends.items()}
        assert heard == {"a": set("ax"), "b": set("bcx"), "c": set("bcx"), "x": set("abcx")}

    virtually(body)


def test_an_end_that_has_closed_neither_sends_nor_receives() -> None:
    async def body(network: MemoryNetwork) -> None:
        here, there = network.transport("a"), network.transport("b")
        here.close()
        here.send(there.address, b"x")
        there.send(here.address, b"x")
        assert await _drain(there, 1) == await _drain(here, 1) == []

    virtually(body)
