"""Rings of real nodes in this process: real sockets on loopback addresses, real time, a fence record in memory."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import attrs
import trio

from acme_manager.ring.addresses import Place
from acme_manager.ring.cluster import Ring, open_ring
from acme_manager.ring.fencing import MemoryFence
from acme_manager.ring.join import Lookup, Seed
from acme_manager.ring.settings import RingSettings
from acme_manager.ring.transport import UdpTcpTransport
from acme_manager.ring.types import Address
from tests.parts.program import free_port


@attrs.define
class Meter:
    """Bytes that have passed over connections, both ways, between all nodes of this process."""

    octets: int = 0


class _Metered(trio.abc.Stream):
    """The dialler's end of a connection: everything passes through it."""

    def __init__(self, inner: trio.abc.Stream, meter: Meter) -> None:
        self._inner, self._meter = inner, meter

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)
        self._meter.octets += len(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._inner.receive_some(max_bytes)
        self._meter.octets += len(data)
        return data

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._inner.aclose()


class _SystemTime:
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 this is a clock adapter


@asynccontextmanager
async def open_rings(count: int, meter: Meter) -> AsyncIterator[Sequence[Ring]]:
    """The rings of so many nodes on 127.0.0.1, .2 and so on; the first of them leads, and all are voters."""
    fences, port = MemoryFence(), free_port("0.0.0.0")

    async def run(number: int, *, task_status: trio.TaskStatus[Ring]) -> None:
        hosts = [f"127.0.0.{other + 1}" for other in range(count)]
        host = hosts[number]
        settings = RingSettings(
            name=f"n{number + 1}",
            place=Place(bind=(host, port), host=host),
            api_url=f"http://{host}:8989",
            seeds=tuple(Seed(Lookup.LITERAL, other, port) for other in hosts),
            guess_seeds=False,
        )
        with UdpTcpTransport.bind(host, port) as transport:
            dial = transport.dial

            async def metered(to: Address) -> trio.abc.Stream:
                return _Metered(await dial(to), meter)

            transport.dial = metered  # type: ignore[method-assign]
            async with open_ring(
                settings, transport=transport, fences=fences, clock=_SystemTime(), rng=random.Random(number)
            ) as ring:
                task_status.started(ring)
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        rings: list[Ring] = []
        for number in range(count):
            rings.append(await nursery.start(run, number))
            with trio.fail_after(10):
                while not rings[0].leads():  # noqa: ASYNC110 an election sets no event here
                    await trio.sleep(0.01)
        with trio.fail_after(30):
            while any(len(ring.statistics()["voters"]) < count for ring in rings):  # noqa: ASYNC110 the same
                await trio.sleep(0.05)
        yield rings
        nursery.cancel_scope.cancel()
