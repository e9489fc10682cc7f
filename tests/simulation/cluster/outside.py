"""What the nodes share and can't trust: storage with check-and-set, and a CA. Both check what is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from acme_manager.ring.effects import Written
from acme_manager.ring.fence import Fence
from tests.simulation.cluster.world import Broken, World

FENCE = "fence"
TIMEOUT = 5.0


@attrs.frozen
class Record:
    """A certificate in storage. `op` counts the operations on its key; a deletion keeps its place."""

    op: int
    term: int
    order: int = 0
    serial: int = 0
    deleted: bool = False


@attrs.frozen
class Journal:
    """An order in flight."""

    op: int
    term: int
    order: int


Value = Fence | Record | Journal


class Storage:
    """Linearizable, with versions. Requests and answers get lost or late: a write that failed may happen afterwards."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.data: dict[str, tuple[int, Value]] = {}
        self.away_until = 0.0
        self.unreachable: dict[str, float] = {}  # until when, by node
        self.flaky = 0.0
        self.slow_answers = 0.0
        self.traces: dict[int, float] = {}  # when storage first knew of an order

    def get(self, node: str, key: str, answer: Callable[[tuple[int, Value | None] | None], None]) -> None:
        """Answers (version, value), or None when storage could not be read."""
        self._request(node, lambda: self.data.get(key, (0, None)), answer, None)

    def put(self, node: str, key: str, value: Value, expected: int, answer: Callable[[Written], None]) -> None:
        self._request(node, lambda: self._land(node, key, value, expected), answer, Written.UNKNOWN)

    def _request(self, node: str, act: Callable[[], Any], answer: Callable[[Any], None], failed: Any) -> None:
        world, rng = self._world, self._world.rng
        answered = False

        def reply(result: Any) -> None:
            nonlocal answered
            if not answered:
                answered = True
                answer(result)

        def arrive() -> None:
            if self._reaches(node):
                result = act()
                if rng.random() >= self.flaky:
                    late = rng.uniform(2, 5) if rng.random() < self.slow_answers else 0.0
                    world.after(self._delay() + late, reply, result)

        if rng.random() >= self.flaky and self._reaches(node):
            world.after(self._delay(), arrive)
        world.after(TIMEOUT, reply, failed)

    def _delay(self) -> float:
        rng = self._world.rng
        late = rng.random() < self.flaky / 2
        return 6 * rng.random() if late else 0.001 + rng.expovariate(1 / 0.004)

    def _reaches(self, node: str) -> bool:
        return self._world.now >= max(self.away_until, self.unreachable.get(node, 0.0))

    def _land(self, node: str, key: str, value: Value, expected: int) -> Written:
        version, current = self.data.get(key, (0, None))
        if not self.fits(version, expected):
            return Written.STALE
        self._check(key, current, value)
        self.data[key] = (version + 1, value)
        self._world.note(node, f"storage: {key} v{version + 1} = {value}")
        if isinstance(value, Record | Journal) and value.order:
            self.traces.setdefault(value.order, self._world.now)
        return Written.OK

    def fits(self, version: int, expected: int) -> bool:
        """Check-and-set."""
        return version == expected

    def _check(self, key: str, current: Value | None, value: Value) -> None:
        if current is None:
            return
        if value.term < current.term:
            raise Broken(f"2: term {value.term} wrote {key} over what term {current.term} had written")
        if isinstance(value, Fence) and isinstance(current, Fence):
            if value.term == current.term and value.holder != current.holder:
                raise Broken(f"2: {value.holder} and {current.holder} both wrote term {value.term} into the fence")
            if len({*value.voters} ^ {*current.voters}) > 1:
                raise Broken(f"1: the list of voters changed by more than one: {current.voters} -> {value.voters}")
        if isinstance(value, Record) and isinstance(current, Record):
            if value.op <= current.op:
                raise Broken(f"3: operation {value.op} on {key} landed over operation {current.op}")
            if value.serial <= current.serial and not value.deleted:
                raise Broken(f"3: {key} went back from certificate {current.serial} to {value.serial}")


@attrs.frozen
class Order:
    """An order at the CA."""

    number: int
    key: str
    op: int
    term: int
    node: str


class CertificateAuthority:
    """Takes orders and gives certificates; answers get lost."""

    def __init__(self, world: World, storage: Storage) -> None:
        self._world, self._storage = world, storage
        self.orders: list[Order] = []
        self._serials: dict[int, int] = {}
        self.flaky = 0.02

    def order(
        self, node: str, key: str, op: int, term: int, leading_since: float, answer: Callable[[int], None]
    ) -> None:
        """Answers the order's number, or 0 when there was no answer."""
        for other in self.orders:
            if (other.key, other.op) == (key, op) and other.term != term:
                self._check(other, term, leading_since)
        order = Order(len(self.orders) + 1, key, op, term, node)
        self.orders.append(order)
        self._world.note(node, f"CA: {order}")
        lost = self._world.rng.random() < self.flaky
        self._world.after(0.02 + 0.1 * self._world.rng.random(), answer, 0 if lost else order.number)

    def fetch(self, order: int, answer: Callable[[int], None]) -> None:
        """Answers the serial number of the order's certificate, or 0 when there was no answer."""
        serial = self._serials.setdefault(order, len(self._serials) + 1)
        lost = self._world.rng.random() < self.flaky
        self._world.after(0.05 + 0.5 * self._world.rng.random(), answer, 0 if lost else serial)

    def _check(self, other: Order, term: int, leading_since: float) -> None:
        if other.term > term:
            raise Broken(f"4: term {term} orders what term {other.term} has ordered: {other}")
        known = self._storage.traces.get(other.number)
        if known is not None and known < leading_since:
            raise Broken(f"4: term {term} orders again what storage had when it began: {other}")
