"""What goes wrong, when, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from tests.simulation.cluster.node import Node

if TYPE_CHECKING:
    from tests.simulation.cluster.run import Cluster

_PAUSE_BETWEEN = 3.0  # seconds, on average


@attrs.define(eq=False)
class Faults:
    """A storm of them, and the calm after it."""

    cluster: Cluster
    _end: float = 0.0
    _storm: int = 1
    _aside: list[Node] = attrs.field(factory=list)

    def begin(self, end: float) -> None:
        self._end = end
        self._plan_next()

    def _later(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """An end of a fault, unless everything has been put right by then."""
        storm = self._storm

        def end() -> None:
            if self._storm == storm:
                call(*args)

        self.cluster.world.after(delay, end)

    def _plan_next(self) -> None:
        world = self.cluster.world
        when = world.now + world.rng.expovariate(1 / _PAUSE_BETWEEN)
        if when < self._end:
            world.at(when, self._strike)

    def _strike(self) -> None:
        kinds = [
            self._split, self._split_one_way, self._isolate, self._pause, self._pause, self._crash, self._crash,
            self._stop, self._lose_packets, self._slow_down, self._storage_away, self._storage_unreachable,
            self._storage_flaky, self._heal, self._bounce_the_others, self._fade_out,
            self._storage_answers_late, self._crash_all,
        ]  # fmt: skip
        rng = self.cluster.world.rng
        for strike in rng.sample(kinds, rng.choice([1, 1, 1, 2, 3])):
            strike()
        self._plan_next()

    def _victim(self) -> Node:
        """Half of the time the leader, where faults hurt."""
        leader = self.cluster.leader()
        rng = self.cluster.world.rng
        return leader if leader is not None and rng.random() < 0.5 else rng.choice(self.cluster.nodes)

    # --- the network

    def _split(self) -> None:
        rng = self.cluster.world.rng
        side = {node.name for node in self.cluster.nodes if rng.random() < 0.5}
        self._cut({(a, b) for a in side for b in self._names() - side}, both=True)

    def _split_one_way(self) -> None:
        rng = self.cluster.world.rng
        side = {node.name for node in self.cluster.nodes if rng.random() < 0.5}
        self._cut({(a, b) for a in side for b in self._names() - side}, both=False)

    def _isolate(self) -> None:
        self._isolate_one(self._victim())

    def _isolate_one(self, node: Node) -> None:
        self._cut({(node.name, other) for other in self._names() - {node.name}}, both=True)

    def _names(self) -> set[str]:
        return {node.name for node in self.cluster.nodes}

    def _cut(self, links: set[tuple[str, str]], *, both: bool) -> None:
        links = links | {(b, a) for a, b in links} if both else links
        self.cluster.world.note("network", f"cut: {sorted(links)}")
        self.cluster.network.cut |= links
        self._later(self.cluster.world.rng.uniform(0.5, 9), self._join, links)

    def _join(self, links: set[tuple[str, str]]) -> None:
        self.cluster.network.cut -= links

    def _heal(self) -> None:
        self.cluster.network.cut.clear()

    def _lose_packets(self) -> None:
        network, world = self.cluster.network, self.cluster.world
        network.loss = world.rng.uniform(0.05, 0.6)
        world.note("network", f"loses {network.loss:.0%}")
        self._later(world.rng.uniform(1, 10), self._set_loss)

    def _set_loss(self) -> None:
        self.cluster.network.loss = 0.01

    def _slow_down(self) -> None:
        network, world = self.cluster.network, self.cluster.world
        network.slowness, network.stray = world.rng.uniform(0.02, 0.6), 0.05
        world.note("network", f"is slow: {network.slowness:.3f} s")
        self._later(world.rng.uniform(1, 10), self._set_slowness)

    def _set_slowness(self) -> None:
        self.cluster.network.slowness, self.cluster.network.stray = 0.002, 0.002

    # --- nodes

    def _pause(self) -> None:
        node, world = self._victim(), self.cluster.world
        if node.core is not None and not node.paused:
            node.pause()
            self._later(world.rng.uniform(0.2, 9), self._wake, node, node.life)

    def _wake(self, node: Node, life: int) -> None:
        if node.life == life:
            node.resume()

    def _crash(self) -> None:
        node, rng = self._victim(), self.cluster.world.rng
        if node.core is not None:
            node.crash()
            self._start_later(node, rng.choice([rng.uniform(0.05, 1), rng.uniform(1, 8), rng.uniform(8, 25)]))

    def _stop(self) -> None:
        node, rng = self._victim(), self.cluster.world.rng
        if node.core is not None and not node.paused:
            node.leave()
            self._start_later(node, rng.uniform(2, 10))

    def _start_later(self, node: Node, delay: float) -> None:
        self._later(delay, self._start, node)

    def _start(self, node: Node) -> None:
        if node.core is None:
            node.start()

    def _crash_all(self) -> None:
        """Nobody remembers anything; only storage does."""
        for node in self.cluster.nodes:
            if node.core is not None:
                node.crash()
                self._start_later(node, self.cluster.world.rng.uniform(0.05, 2))

    def _bounce_the_others(self) -> None:
        """A leader loses sight of the rest, and they forget what they promised it."""
        rng, spared = self.cluster.world.rng, self._victim()
        self._isolate_one(spared)
        for node in self.cluster.nodes:
            if node is not spared and node.core is not None and rng.random() < 0.8:
                node.crash()
                self._start_later(node, rng.uniform(0.01, 0.3))

    def _fade_out(self) -> None:
        """A leader is still told, late, what nobody would tell it any more."""
        name = self._victim().name
        self._slow_down()
        self.cluster.network.stray = 0.3
        self._later(self.cluster.world.rng.uniform(0.5, 3), self._silence, name)

    def _silence(self, name: str) -> None:
        self._cut({(name, other) for other in self._names() - {name}}, both=False)

    # --- storage

    def _storage_away(self) -> None:
        world = self.cluster.world
        self.cluster.storage.away_until = world.now + world.rng.uniform(0.5, 7)
        world.note("storage", f"away until {self.cluster.storage.away_until:.3f}")

    def _storage_unreachable(self) -> None:
        world, node = self.cluster.world, self._victim()
        self.cluster.storage.unreachable[node.name] = world.now + world.rng.uniform(0.5, 18)
        world.note("storage", f"unreachable for {node.name}")

    def _storage_flaky(self) -> None:
        world = self.cluster.world
        self.cluster.storage.flaky = world.rng.uniform(0.05, 0.5)
        world.note("storage", f"loses {self.cluster.storage.flaky:.0%}")
        self._later(world.rng.uniform(1, 10), self._set_storage)

    def _storage_answers_late(self) -> None:
        """A writer has its answer when it should wait no more; and nobody leads, so that somebody will write."""
        world = self.cluster.world
        self.cluster.storage.slow_answers = 0.5
        world.note("storage", "answers late")
        self._later(world.rng.uniform(5, 15), self._set_storage)
        self._crash()

    def _set_storage(self) -> None:
        self.cluster.storage.flaky = self.cluster.storage.slow_answers = 0.0

    # --- calm

    def end(self) -> Sequence[Node]:
        """Stop; some who are no majority may stay away for now. Returns those who can talk."""
        self._aside = self._choose_aside()
        aside = {node.name for node in self._aside}
        self.cluster.world.note("faults", f"end, but for {sorted(aside)}")
        self._calm()
        self.cluster.network.cut |= {(a, b) for a in self._names() for b in aside} - {(a, a) for a in aside}
        self.cluster.network.cut |= {(b, a) for a, b in self.cluster.network.cut}
        talking = [node for node in self.cluster.nodes if node not in self._aside]
        for node in talking:
            self._bring_back(node)
        return talking

    def end_all(self) -> None:
        """Now everybody can talk."""
        self.cluster.world.note("faults", "end")
        self._calm()
        for node in self.cluster.nodes:
            self._bring_back(node)

    def _choose_aside(self) -> list[Node]:
        rng = self.cluster.world.rng
        few = rng.sample(self.cluster.nodes, rng.randint(0, (len(self.cluster.nodes) - 1) // 2))
        return few if self.cluster.talking_majority({node.name for node in few}) else []

    def _calm(self) -> None:
        cluster = self.cluster
        self._storm += 1
        cluster.network.cut.clear()
        self._set_loss()
        self._set_slowness()
        self._set_storage()
        cluster.storage.away_until = 0.0
        cluster.storage.unreachable.clear()

    def _bring_back(self, node: Node) -> None:
        node.resume()
        if node.stopping:
            node.gone()
        self._start(node)
