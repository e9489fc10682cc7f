"""One run: nodes, clients, faults, then calm; every invariant of docs/leadership.md checked on the way.

A seed determines everything. `simulate(seed)` raises Broken naming the invariant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from unittest import mock

import attrs

from acme_manager.ring import store
from acme_manager.ring.fence import Fence
from acme_manager.ring.leases import majority
from acme_manager.ring.types import Status
from acme_manager.ring.voters import Peer
from tests.simulation.cluster.faults import Faults
from tests.simulation.cluster.node import Ask, Node, Operation
from tests.simulation.cluster.outside import FENCE, CertificateAuthority, Record, Storage
from tests.simulation.cluster.world import Broken, Network, World

STORM = 60.0  # seconds of faults
ELECTED_WITHIN = 10.0
EQUAL_WITHIN = 30.0
CLOSING = 20.0  # of them without new wishes: tombstones expire, and everybody hears of that
KEYS = 3
SHORT_LIFE = 5.0


@attrs.frozen(kw_only=True)
class Result:
    """What happened in a run, to see that it was worth running."""

    seed: int
    steps: int
    terms: int
    acknowledged: int
    orders: int
    doubled_orders: int
    away: float  # how many of all the seconds nobody led


@attrs.define(eq=False)
class Client:
    """Changes one key again and again, through any node, repeating itself until it has an answer."""

    name: str
    key: str
    cluster: Cluster
    until: float  # a key that is left alone from then on must be found by those who have forgotten everything
    number: int = 0
    acknowledged: int = 0
    wanted: Operation | None = None

    def go_on(self) -> None:
        world = self.cluster.world
        if self.wanted is None:
            if self.cluster.closing or world.now > self.until:
                return
            self.number += 1
            self.wanted = Operation(self.name, self.key, self.number, delete=world.rng.random() < 0.3)
        node = world.rng.choice(self.cluster.nodes)
        self.cluster.network.send(self.name, node.name, Ask(self.wanted))
        world.after(0.7 + world.rng.random(), self._again, self.number)

    def _again(self, number: int) -> None:
        if self.wanted is not None and self.number == number:
            self.go_on()

    def arrive(self, _source: str, done: Operation) -> None:
        if done != self.wanted:
            return
        self.cluster.check_acknowledged(done)
        self.cluster.world.note(self.name, f"has its answer: {done}")
        self.acknowledged, self.wanted = done.number, None
        self.cluster.world.after(self.cluster.world.rng.expovariate(1 / 1.5), self.go_on)


class Cluster:
    """Everything of one run."""

    def __init__(
        self,
        seed: int,
        *,
        nodes: int = 3,
        expire: bool = False,
        lines: list[str] | None = None,
    ) -> None:
        self.seed = seed
        self.world = World(seed, lines)
        rng = self.world.rng
        self.network = Network(self.world)
        self.storage = Storage(self.world)
        self.authority = CertificateAuthority(self.world, self.storage)
        rates = rng.choice([(0.95, 1.05), (0.95, 1.0, 1.05, rng.uniform(0.95, 1.05))])
        names = [f"node{number}" for number in range(1, nodes + 1)]
        self.nodes = [
            Node(
                name,
                self.world,
                self.network,
                self.storage,
                self.authority,
                rate=rng.choice(rates),
                offset=rng.uniform(0, 1e5),
                others=[other for other in names if other != name],
                check_leases=self.check_leases,
                strict=not expire,
            )
            for name in names
        ]
        self.clients = [
            Client(f"client{number}", f"key{number}", self, STORM / 2 if number == 1 else math.inf)
            for number in range(1, KEYS + 1)
        ]
        self.network.handlers |= {node.name: node.arrive for node in self.nodes}
        self.network.handlers |= {client.name: client.arrive for client in self.clients}
        self.closing = False
        self._detected: dict[tuple[str, str], tuple[Status, float]] = {}
        self._met: set[tuple[str, int, str]] = set()
        self._away, self._terms, self.calm = 0.0, 0, False

    def run(self) -> Result:
        world = self.world
        for node in self.nodes:
            world.after(world.rng.random() * 3, node.start)
            world.after(0.5, self._detect, node)
        for client in self.clients:
            world.after(1.0, client.go_on)
        faults = Faults(self)
        self._run(STORM, faults)
        talking = faults.end()
        self.calm = True
        self._check_elected(talking)
        faults.end_all()
        self._run(EQUAL_WITHIN - CLOSING)
        self.closing = True
        self._run(CLOSING)
        self._check_end()
        return self._result()

    def _run(self, seconds: float, faults: Faults | None = None) -> None:
        """In small steps, looking between them; also at what happens between two events."""
        end = self.world.now + seconds
        if faults is not None:
            faults.begin(end)
        while self.world.now < end:
            self.world.run(min(end, self.world.now + 0.05))
            self._away += 0.05 * (self.leader() is None)

    def leader(self) -> Node | None:
        return next((node for node in self.nodes if node.core is not None and node.core.leads(node.local())), None)

    # --- the failure detector: slow, and a liar

    def _detect(self, node: Node) -> None:
        rng = self.world.rng
        self.world.after(rng.uniform(0.3, 1.2), self._detect, node)
        if node.core is not None and not node.paused:
            now = node.local()
            node.see({other.name: self._peer(node, other, now) for other in self.nodes if self._knows(node, other)})

    def _knows(self, node: Node, other: Node) -> bool:
        """Who was never met in this life is not known, not even as dead."""
        if other is node or self._meets(node, other):
            self._met.add((node.name, node.life, other.name))
        return (node.name, node.life, other.name) in self._met

    def _meets(self, node: Node, other: Node) -> bool:
        return other.core is not None and self.network.talk(node.name, other.name)

    def _peer(self, node: Node, other: Node, now: float) -> Peer:
        link = (node.name, other.name)
        before, since = self._detected.get(link, (Status.ALIVE, now))
        status = self._verdict(node, other, before)
        if status is not before or link not in self._detected:
            since = now
        self._detected[link] = (status, since)
        return Peer(name=other.name, status=status, since=since, joined=float(other.life))

    def _verdict(self, node: Node, other: Node, before: Status) -> Status:
        rng = self.world.rng
        if other is node:
            return Status.ALIVE
        if other.left:
            return Status.LEFT
        if not self.calm and rng.random() < 0.03:
            return rng.choice([Status.ALIVE, Status.SUSPECT, Status.DEAD])
        well = self._meets(node, other) and not other.paused
        if well or rng.random() < 0.7:  # it takes a while to notice
            return Status.ALIVE if well else before
        return Status.SUSPECT if before is Status.ALIVE else Status.DEAD

    # --- what must hold

    def check_leases(self) -> None:
        """Invariant 1. Called after each step that could have given or prolonged a lease."""
        holders = [node.name for node in self.nodes if node.core is not None and node.core.leads(node.local())]
        if len(holders) > 1:
            raise Broken(f"1: {' and '.join(holders)} hold a lease at the same time")

    def check_acknowledged(self, done: Operation) -> None:
        _, record = self.storage.data.get(done.key, (0, None))
        if not isinstance(record, Record) or record.op < done.number:
            raise Broken(f"3: {done} was acknowledged, and storage has {record}")

    def _check_elected(self, talking: Sequence[Node]) -> None:
        """Invariant 5, first half. Whoever leads must lead on: a calm network has no reason to change it."""
        for _ in range(int(ELECTED_WITHIN / 0.5)):
            self._run(0.5)
        leader = self.leader()
        if not self.talking_majority({node.name for node in self.nodes if node not in talking}):
            return  # a leader that was set aside has taken some of them off the list while its lease ran on
        if leader is None or leader not in talking:
            names = ", ".join(node.name for node in talking)
            raise Broken(f"5: {names} could talk for {ELECTED_WITHIN:g} s and have no leader")

    def _check_end(self) -> None:
        truth = {
            key: version
            for key, (version, record) in self.storage.data.items()
            if isinstance(record, Record) and not record.deleted
        }
        for node in self.nodes:
            if node.copy.shown() != truth:
                raise Broken(f"5: {node.name} has {node.copy.shown()}, storage has {truth}")
        if len({node.copy.map.root() for node in self.nodes}) > 1:
            raise Broken("5: the copies of the map have different digests")
        for client in self.clients:
            _, record = self.storage.data.get(client.key, (0, None))
            if client.acknowledged and (not isinstance(record, Record) or record.op < client.acknowledged):
                raise Broken(f"3: {client.key}: operation {client.acknowledged} was acknowledged, storage has {record}")
        fence = self.storage.data[FENCE][1]
        if not isinstance(fence, Fence) or len(fence.voters) != len(self.nodes):
            raise Broken(f"5: everybody has been here for {EQUAL_WITHIN:g} s, and the list of voters is {fence}")

    def talking_majority(self, aside: set[str]) -> bool:
        """Whether those who are not set aside are more than half of the voters."""
        _, fence = self.storage.data.get(FENCE, (0, None))
        voters = fence.voters if isinstance(fence, Fence) else ()
        return len({*voters} - aside) >= majority(len(voters))

    def _result(self) -> Result:
        orders = self.authority.orders
        fence = self.storage.data[FENCE][1]
        return Result(
            seed=self.seed,
            steps=self.world.steps,
            terms=fence.term if isinstance(fence, Fence) else 0,
            acknowledged=sum(client.acknowledged for client in self.clients),
            orders=len(orders),
            doubled_orders=len(orders) - len({(order.key, order.op) for order in orders}),
            away=round(self._away, 2),
        )


def simulate(seed: int, *, nodes: int = 3, expire: bool = False, lines: list[str] | None = None) -> Result:
    """Run one seed. Raises Broken. What happens is added to `lines`, as text for people.

    `expire`: tombstones last for so short a time that nodes are away for longer, and miss deletions altogether.
    """
    life = SHORT_LIFE if expire else store.TOMBSTONE_LIFE
    with mock.patch.object(store, "TOMBSTONE_LIFE", life):
        return Cluster(seed, nodes=nodes, expire=expire, lines=lines).run()
