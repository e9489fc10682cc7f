"""Faults from a seeded plan, done to a cluster one after the other, each healed before the next."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import attrs
import trio

from tests.integration.cluster.clients import Reader
from tests.parts.cluster import Cluster, stop_gracefully
from tests.parts.hosts import Network
from tests.parts.node import Node
from tests.parts.place import Place
from tests.parts.program import PartFailed

FAULTS = (
    "kill",
    "kill the leader",
    "stop the leader",
    "freeze the leader",
    "freeze",
    "cut off the leader",
    "cut off",
    "cut off from the others",
    "cut between two",
    "one way",
    "deaf",
    "loss",
    "delay",
    "seal",
    "kill all",
)


@attrs.frozen
class Step:
    """One fault: after so many seconds of calm, for so many seconds. `victim` and `other` are numbers of nodes."""

    fault: str
    calm: float
    lasts: float
    victim: int
    other: int


def plan(rng: random.Random, seconds: float, nodes: int) -> list[Step]:
    """Steps that fill that time. Every fault comes once before any comes again; most outlast a lease (3 s)."""
    steps: list[Step] = []
    deck: list[str] = []
    left = seconds
    while left > 0:
        if not deck:
            deck = rng.sample(FAULTS, len(FAULTS))
        victim, other = rng.sample(range(nodes), 2)
        step = Step(deck.pop(), rng.uniform(1, 4), rng.uniform(3.5, 7), victim, other)
        steps.append(step)
        left -= step.calm + step.lasts
    return steps


class Nemesis:
    """Does what the plan says. `say` is told in words."""

    def __init__(
        self, cluster: Cluster, network: Network, readers: Sequence[Reader], say: Callable[[str], None]
    ) -> None:
        self._cluster, self._network, self._say = cluster, network, say
        self._readers = {reader.node: reader for reader in readers}

    async def run(self, steps: Sequence[Step]) -> None:
        """All of them; afterwards every node runs and nothing is cut. Raises PartFailed if a node ends by itself."""
        for step in steps:
            await trio.sleep(step.calm)
            leader = await self._cluster.leader()
            victim, other = self._cluster.nodes[step.victim], self._cluster.nodes[step.other]
            if step.fault.endswith("the leader") and leader is not None:
                victim = leader
                other = other if other is not leader else self._cluster.others(leader)[0]
            self._say(
                f"{leader.name if leader else 'nobody'} leads; {step.fault} for {step.lasts:.1f} s"
                f" ({victim.name}, and {other.name} where it takes two)"
            )
            await self._do(step, victim, other)
            self._check_alive()

    async def _do(self, step: Step, victim: Node, other: Node) -> None:
        match step.fault:
            case "kill" | "kill the leader":
                await self._kill([victim], step.lasts)
            case "kill all":
                await self._kill(self._cluster.nodes, 0.0)
            case "stop the leader":
                with self._excused(victim):
                    await stop_gracefully(victim)
                    await self._cluster.start(victim, ready=False)
            case "freeze" | "freeze the leader":
                with self._excused(victim):
                    victim.program.freeze()
                    await trio.sleep(step.lasts)
                    victim.program.thaw()
                    await trio.sleep(1)  # it has to answer what has piled up
            case "seal":
                await self._cluster.bao.seal()
                await trio.sleep(step.lasts)
                await self._cluster.bao.unseal()
            case _:
                await self._disturb(step.fault, victim.program.place, other.program.place)
                await trio.sleep(step.lasts)
                await self._network.heal()

    async def _kill(self, victims: Sequence[Node], seconds: float) -> None:
        for victim in victims:
            victim.program.kill()
        await trio.sleep(seconds)
        await self._cluster.start(*victims, ready=False)

    async def _disturb(self, fault: str, place: Place, other: Place) -> None:
        network = self._network
        match fault:
            case "cut off" | "cut off the leader":
                await network.cut_off(place)
            case "cut off from the others":  # storage and the CA can still be reached
                await network.cut(place, *(one for one in network.hosts if one is not place))
            case "cut between two":
                await network.cut(place, other)
            case "one way":
                await network.one_way(place, other)
            case "deaf":
                for one in network.everybody:
                    if one is not place:
                        await network.one_way(one, place)
            case "loss":
                await network.loss(0.3)
            case "delay":
                await network.delay(0.3)
            case _:
                raise ValueError(fault)

    @contextmanager
    def _excused(self, node: Node) -> Iterator[None]:
        reader = self._readers[node]
        reader.excused = True
        try:
            yield
        finally:
            reader.excused = False

    def _check_alive(self) -> None:
        for node in self._cluster.nodes:
            if not node.program.alive:
                raise PartFailed(f"{node.name} has ended by itself:\n{node.program.log()[-3000:]}")
