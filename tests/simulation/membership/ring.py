"""Nodes that are nothing but a membership core, in a simulated network."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from acme_manager.ring.config import RingConfig
from acme_manager.ring.membership import Incompatible, Membership
from acme_manager.ring.messages import PushNode, parse_untrusted
from acme_manager.ring.types import (
    Address,
    Delivered,
    Effect,
    PingStream,
    PushPull,
    Refused,
    SendPacket,
    Status,
    StatusChanged,
)
from tests.simulation.network import Host, Network

_NODE_BYTES = 110  # about what one node takes in a push/pull, with our meta


class Node:
    """One member, and what it went through: `seen` is its changes of status, with their times."""

    answers_tcp_pings = True

    def __init__(
        self,
        network: Network,
        name: str,
        address: Address,
        config: RingConfig,
        *,
        meta: bytes = b"",
        drift: float = 1.0,
    ) -> None:
        self.network, self.name, self.address = network, name, address
        rng = random.Random(network.rng.random())
        self.core = Membership(config, name, address, meta, rng, network.now * drift)
        self.seen: list[tuple[float, StatusChanged]] = []
        self.heard: list[bytes] = []
        self.refused: list[Refused] = []
        self.packets_in = 0
        network.add(address, self, drift=drift)

    def receive(self, payload: bytes, source: Address, now: float) -> None:
        """See Host."""
        self.packets_in += 1
        for message in parse_untrusted(payload):
            self.carry_out(self.core.receive(message, source, now))

    def tick(self, now: float) -> None:
        """See Host."""
        self.carry_out(self.core.tick(now))

    def deadline(self) -> float:
        """See Host."""
        return self.core.deadline()

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """What the driver would do."""
        for effect in effects:
            match effect:
                case SendPacket():
                    self.network.send(self.address, effect.to, effect.payload, len(effect.payload))
                case PingStream():
                    self.network.exchange(self.address, effect.to, 60, self._pinged(effect))
                case PushPull():
                    state = self.core.local_state()
                    size = _NODE_BYTES * len(state)
                    self.network.exchange(self.address, effect.to, size, self._visited(state, effect.join))
                case StatusChanged():
                    self.seen.append((self.network.now, effect))
                case Delivered():
                    self.heard.append(effect.payload)
                case Refused():
                    self.refused.append(effect)

    def join(self, *seeds: Address) -> None:
        """Look for the others there."""
        self.carry_out(self.core.set_seeds(seeds, self._clock()))
        self.network.poke(self.address)

    def leave(self) -> None:
        """Say goodbye, and stop when that is done."""
        self.carry_out(self.core.leave(self._clock()))
        self.network.poke(self.address)
        self.network.run_until(self.core.left, 20)
        self.network.remove(self.address)

    def tell(self, key: str, payload: bytes) -> None:
        """Gossip something."""
        self.core.broadcast(key, payload, self._clock())
        self.network.poke(self.address)

    def status(self, name: str) -> Status | None:
        """What this node holds of another."""
        member = self.core.member(name)
        return member.status if member else None

    def deaths(self) -> list[tuple[float, str]]:
        """Whom it has taken for dead, and when."""
        return [(when, change.member.name) for when, change in self.seen if change.member.status is Status.DEAD]

    def _clock(self) -> float:
        return self.network.clock(self.address)

    def _pinged(self, effect: PingStream) -> Callable[[Host], Callable[[], None]]:
        def ask(host: Host) -> Callable[[], None]:
            right = isinstance(host, Node) and host.name == effect.name and host.answers_tcp_pings

            def answer() -> None:
                if right and self._clock() <= effect.deadline:
                    self.carry_out(self.core.stream_pong(effect.sequence, self._clock()))

            return answer

        return ask

    def _visited(self, state: list[PushNode], join: bool) -> Callable[[Host], Callable[[], None]]:
        def ask(host: Host) -> Callable[[], None]:
            assert isinstance(host, Node)
            reply = host.core.local_state()
            self.network.traffic.stream_bytes += _NODE_BYTES * len(reply)
            host.merge(state, join)
            return lambda: self.merge(reply, join)

        return ask

    def merge(self, state: list[PushNode], join: bool) -> None:
        """Take in a peer's state."""
        try:
            self.carry_out(self.core.merge(state, self._clock(), join=join))
        except Incompatible as error:
            self.refused.append(Refused("", str(error), None))
        self.network.poke(self.address)


def address(number: int) -> Address:
    """Of the node with that number."""
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7946


def name(number: int) -> str:
    """Of the node with that number."""
    return f"node-{number}"


class Ring:
    """Nodes 1 to `size`; all but the first join the first."""

    def __init__(self, network: Network, size: int, config: RingConfig | None = None) -> None:
        self.network = network
        self.config = config or RingConfig()
        self.nodes = {number: self.start(number) for number in range(1, size + 1)}

    def new(self, number: int) -> Node:
        """A node that looks for nobody."""
        return Node(self.network, name(number), address(number), self.config)

    def start(self, number: int) -> Node:
        """A node that knows the first one as its seed."""
        node = self.new(number)
        node.join(address(1))
        return node

    def restart(self, number: int) -> Node:
        """A new process in the place of an old one."""
        self.nodes[number] = self.start(number)
        return self.nodes[number]

    def crash(self, number: int) -> None:
        """Kill -9."""
        self.network.remove(address(number))
        del self.nodes[number]

    def all_see(self, number: int, status: Status) -> bool:
        """Whether every running node holds that of one of them."""
        return all(node.status(name(number)) is status for node in self.nodes.values())

    def complete(self) -> bool:
        """Whether everybody sees everybody alive."""
        return all(self.all_see(number, Status.ALIVE) for number in self.nodes)
