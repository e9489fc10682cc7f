"""A network in memory with the interface of transport.py: exact in virtual time, and as bad as it is told to be."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Collection

import attrs
import trio
from trio.testing import MemorySendStream, memory_stream_pair

from acme_manager.ring.transport import MAX_STREAMS, Handler, Reception, Traffic
from acme_manager.ring.types import Address


@attrs.frozen(kw_only=True)
class Weather:
    """How a network behaves. Delays are seconds, the others probabilities for each packet; streams only get delayed."""

    delay: float = 0.001
    jitter: float = 0.0  # up to that much more, so that packets may overtake each other
    loss: float = 0.0
    duplication: float = 0.0


class MemoryNetwork:
    """Connects the transports that it has made. Set `weather` at any time; cut directions between hosts, and heal."""

    def __init__(self, rng: random.Random, weather: Weather | None = None) -> None:
        self.weather = weather or Weather()
        self._rng = rng
        self._ends: dict[Address, MemoryTransport] = {}
        self._cuts: set[tuple[str, str]] = set()

    def transport(self, host: str, port: int = 7946) -> MemoryTransport:
        """A new end. One that had the address before is dead from now on."""
        end = MemoryTransport(self, (host, port))
        self._ends[end.address] = end
        return end

    def cut(self, source: str, to: str) -> None:
        """Lose everything that goes from one host to another; connections stall."""
        self._cuts.add((source, to))

    def partition(self, *groups: Collection[str]) -> None:
        """Let only those talk to each other that are in one group; a host in no group talks to all."""
        pairs = itertools.permutations(groups, 2)
        self._cuts = {(a, b) for left, right in pairs for a in left for b in right}

    def heal(self) -> None:
        """Undo every cut."""
        self._cuts.clear()

    def is_cut(self, source: Address, to: Address) -> bool:
        """Whether something sent now would get lost for sure."""
        return (source[0], to[0]) in self._cuts

    def end(self, address: Address) -> MemoryTransport | None:
        """Who listens at an address."""
        return self._ends.get(address)

    def remove(self, end: MemoryTransport) -> None:
        """Take an end away, if it is still there."""
        if self._ends.get(end.address) is end:
            del self._ends[end.address]

    async def way(self, source: Address, to: Address) -> None:
        """Take as long as a stream's data takes, which is for ever where either direction is cut."""
        await trio.sleep(self._delay())
        if self.is_cut(source, to) or self.is_cut(to, source):
            await trio.sleep_forever()

    def carry(self, source: Address, to: Address, datagram: bytes) -> None:
        """Deliver a packet, or lose it, or deliver it twice."""
        end = self._ends.get(to)
        if end is None or self.is_cut(source, to) or self._rng.random() < self.weather.loss:
            return
        for _ in range(2 if self._rng.random() < self.weather.duplication else 1):
            end.deliver(datagram, source, trio.current_time() + self._delay())

    def _delay(self) -> float:
        return self.weather.delay + self._rng.random() * self.weather.jitter


class MemoryTransport:
    """One end of a MemoryNetwork."""

    def __init__(self, network: MemoryNetwork, address: Address) -> None:
        self.address = address
        self.traffic = Traffic()
        self._network = network
        self._inbox: list[tuple[float, int, bytes, Address]] = []
        self._order = itertools.count()
        self._waiting = trio.CancelScope()
        self._dialled, self._accepted = trio.open_memory_channel[tuple[trio.abc.Stream, Address]](MAX_STREAMS)
        self._reception = Reception(self.traffic)

    def __enter__(self) -> MemoryTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the network; what is on its way gets lost."""
        self._network.remove(self)

    def send(self, to: Address, datagram: bytes) -> None:
        """See Transport."""
        self.traffic.packets_out += 1
        self.traffic.bytes_out += len(datagram)
        if self._network.end(self.address) is self:
            self._network.carry(self.address, to, datagram)

    def deliver(self, datagram: bytes, source: Address, due: float) -> None:
        """For the network: a packet arrives at `due`."""
        heapq.heappush(self._inbox, (due, next(self._order), datagram, source))
        self._waiting.deadline = min(self._waiting.deadline, due)

    async def receive(self) -> tuple[bytes, Address]:
        """See Transport."""
        while not self._inbox or self._inbox[0][0] > trio.current_time():
            self._waiting = trio.CancelScope(deadline=self._inbox[0][0] if self._inbox else math.inf)
            with self._waiting:
                await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        _, _, datagram, source = heapq.heappop(self._inbox)
        self.traffic.packets_in += 1
        self.traffic.bytes_in += len(datagram)
        return datagram, source

    async def dial(self, to: Address) -> trio.abc.Stream:
        """See Transport."""
        await self._network.way(self.address, to)
        end = self._network.end(to)
        if end is None:
            raise ConnectionRefusedError(f"nobody listens at {to}")
        self.traffic.streams_out += 1
        ours, theirs = memory_stream_pair()
        self._lengthen(ours.send_stream, self.address, to)
        self._lengthen(theirs.send_stream, to, self.address)
        await end.accept(theirs, self.address)
        return ours

    def _lengthen(self, sends: MemorySendStream, source: Address, to: Address) -> None:
        deliver = sends.send_all_hook
        assert deliver is not None

        async def travel() -> None:
            await self._network.way(source, to)
            await deliver()

        sends.send_all_hook = travel

    async def accept(self, stream: trio.abc.Stream, peer: Address) -> None:
        """For the network: somebody has dialled."""
        await self._dialled.send((stream, peer))

    async def serve(self, handle: Handler, patience: float) -> None:
        """See Transport."""
        async with trio.open_nursery() as nursery:
            async for stream, peer in self._accepted:
                nursery.start_soon(self._reception, handle, patience, stream, peer)
