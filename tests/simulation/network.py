"""A network in virtual time: hosts with a deadline each, datagrams that get lost, late, doubled or overtaken, and cuts.

Everything happens in one heap, in order of time; all chance comes from one seed, so a run can be repeated exactly.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import attrs

from acme_manager.ring.types import Address


class Host(Protocol):
    """What can be put into the network. It sends with `Network.send` from inside these calls."""

    def receive(self, payload: Any, source: Address, now: float) -> None:
        """A datagram has come."""

    def tick(self, now: float) -> None:
        """The deadline has come."""

    def deadline(self) -> float:
        """When to call `tick`; asked after every call."""


@attrs.frozen(kw_only=True)
class Weather:
    """How well packets travel. Times are seconds, the others shares of all packets."""

    loss: float = 0.0
    duplicates: float = 0.0
    delay: float = 0.002
    jitter: float = 0.001  # evenly spread on top; packets overtake each other


@attrs.define(eq=False)
class _Place:
    host: Host
    due: float = float("inf")
    asleep: bool = False
    inbox: list[tuple[Any, Address]] = attrs.field(factory=list)  # what came while it slept
    drift: float = 1.0  # how fast its clock runs


@attrs.define
class Traffic:
    """What was sent, whether it arrived or not."""

    packets: int = 0
    packet_bytes: int = 0
    streams: int = 0
    stream_bytes: int = 0


class Network:
    """See the module. `now` is the true time; a host with a drift sees its own."""

    def __init__(self, seed: int, weather: Weather | None = None) -> None:
        self.now = 0.0
        self.weather = weather or Weather()
        self.traffic = Traffic()
        self.rng = random.Random(seed)  # for hosts too
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._places: dict[Address, _Place] = {}
        self._groups: list[frozenset[Address]] = []
        self._cuts: set[tuple[Address, Address]] = set()

    # --- hosts ---

    def add(self, address: Address, host: Host, *, drift: float = 1.0) -> None:
        """Put a host at an address; one that was there is gone."""
        self._places[address] = _Place(host, drift=drift)
        self.poke(address)

    def remove(self, address: Address) -> None:
        """A crash."""
        self._places.pop(address, None)

    def pause(self, address: Address) -> None:
        """Stop a process (SIGSTOP): what comes meanwhile waits for it, up to 1,000 packets."""
        self._places[address].asleep = True

    def resume(self, address: Address) -> None:
        """Wake it up."""
        place = self._places[address]
        place.asleep = False
        inbox, place.inbox = place.inbox, []
        for payload, source in inbox:
            place.host.receive(payload, source, self.now * place.drift)
        self.poke(address)

    def poke(self, address: Address) -> None:
        """Ask a host for its deadline again: somebody has called it from outside."""
        place = self._places.get(address)
        if place is not None:
            deadline = place.host.deadline()
            due = max(deadline / place.drift, self.now)
            if due != place.due:
                place.due = due
                if due < float("inf"):
                    self.at(due, lambda: self._tick(address, place, due, deadline))

    def clock(self, address: Address) -> float:
        """What a host's clock says."""
        return self.now * self._places[address].drift

    # --- cuts ---

    def partition(self, *groups: Iterable[Address]) -> None:
        """Only those in one group hear each other; who is in none hears everybody."""
        self._groups = [frozenset(group) for group in groups]

    def cut(self, source: Address, to: Address) -> None:
        """Lose everything in one direction."""
        self._cuts.add((source, to))

    def heal(self) -> None:
        """Undo partitions and cuts."""
        self._groups = []
        self._cuts.clear()

    def reaches(self, source: Address, to: Address) -> bool:
        """Whether a packet could get through, with luck."""
        if (source, to) in self._cuts:
            return False
        ours = [group for group in self._groups if source in group]
        return not ours or any(to in group for group in ours) or not any(to in group for group in self._groups)

    # --- traffic ---

    def send(self, source: Address, to: Address, payload: Any, size: int = 0) -> None:
        """A datagram."""
        self.traffic.packets += 1
        self.traffic.packet_bytes += size
        if not self.reaches(source, to) or self.rng.random() < self.weather.loss:
            return
        for _ in range(2 if self.rng.random() < self.weather.duplicates else 1):
            self.at(self.now + self._travel(), lambda: self._arrive(source, to, payload))

    def exchange(self, source: Address, to: Address, size: int, ask: Callable[[Host], Callable[[], None]]) -> None:
        """A TCP exchange: `ask(host)` happens there, and what it returns happens here with the answer.

        TCP makes up for loss; where either direction is cut, or nobody listens or runs, nothing happens at all.
        """
        self.traffic.streams += 1
        self.traffic.stream_bytes += size

        def there() -> None:
            place = self._places.get(to)
            if place is None or place.asleep or not (self.reaches(source, to) and self.reaches(to, source)):
                return
            answer = ask(place.host)
            self.poke(to)
            self.at(self.now + self._travel(), lambda: here(answer))

        def here(answer: Callable[[], None]) -> None:
            place = self._places.get(source)
            if place is not None and not place.asleep:
                answer()
                self.poke(source)

        self.at(self.now + 3 * self._travel(), there)  # the handshake takes a round trip

    # --- time ---

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (when, next(self._order), action))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], limit: float, step: float = 0.01) -> float | None:
        """Let time pass until the condition holds, looked at every `step`. How long it took; None after `limit`."""
        start = self.now
        look = start
        while True:
            if look <= self.now:
                if condition():
                    return self.now - start
                look = self.now + step
            if not self._events or self._events[0][0] > start + limit:
                self.now = start + limit
                return self.now - start if condition() else None
            self.now, _, action = heapq.heappop(self._events)
            action()

    # --- ---

    def _travel(self) -> float:
        return self.weather.delay + self.rng.random() * self.weather.jitter

    def _arrive(self, source: Address, to: Address, payload: Any) -> None:
        place = self._places.get(to)
        if place is None:
            return
        if place.asleep:
            if len(place.inbox) < 1000:
                place.inbox.append((payload, source))
            return
        place.host.receive(payload, source, self.now * place.drift)
        self.poke(to)

    def _tick(self, address: Address, place: _Place, due: float, deadline: float) -> None:
        if self._places.get(address) is place and place.due == due and not place.asleep:
            place.due = float("inf")
            place.host.tick(max(self.now * place.drift, deadline))  # not a rounding error too early
            self.poke(address)
