"""A node of the simulation: a driver around the real core, and what a leader does with its leadership."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any

import attrs

from acme_manager.ring.effects import (
    BecameLeader,
    Effect,
    LeaderChanged,
    LostLeadership,
    ReadFence,
    Send,
    WriteFence,
    Written,
)
from acme_manager.ring.entries import Entry
from acme_manager.ring.fence import Fence
from acme_manager.ring.leadership import Leadership
from acme_manager.ring.leases import LeaseConfig
from acme_manager.ring.sync_messages import Reply, Request
from acme_manager.ring.types import Status
from acme_manager.ring.voters import Peer
from tests.simulation.cluster.copies import Copy
from tests.simulation.cluster.outside import FENCE, CertificateAuthority, Journal, Record, Storage
from tests.simulation.cluster.world import Broken, Network, World

CONFIG = LeaseConfig(forget_after=20.0)
SYNC_EVERY = 1.5
RECONCILE_EVERY = 8.0
_MOST_TICKS = 1000  # at one moment; more is a timer that never advances

Work = Generator[Callable[[Callable[[Any], None]], None], Any, None]


@attrs.frozen
class Operation:
    """What a client asks for: the `number`th change of a key."""

    client: str
    key: str
    number: int
    delete: bool


@attrs.frozen
class Ask:
    operation: Operation
    hops: int = 0


@attrs.frozen
class Gossip:
    entries: list[Entry]


@attrs.frozen
class Digest:
    root: bytes


@attrs.frozen
class SyncRequest:
    number: int
    request: Request


@attrs.frozen
class SyncReply:
    number: int
    reply: Reply


@attrs.define(eq=False)
class Node:
    """One name through all its lives. While `core` is None it is down; while `paused` everything for it queues up."""

    name: str
    world: World
    network: Network
    storage: Storage
    authority: CertificateAuthority
    rate: float
    offset: float
    others: list[str]
    check_leases: Callable[[], None]
    strict: bool
    core: Leadership | None = None
    life: int = 0
    paused: bool = False
    left: bool = False
    stopping: bool = False
    copy: Copy = attrs.field(init=False)
    peers: dict[str, Peer] = attrs.field(factory=dict)
    leading_since: float = 0.0
    _queue: list[tuple[Callable[..., None], tuple[Any, ...]]] = attrs.field(factory=list)
    _timer: float = 0.0
    _alarm: int = 0
    _ticks: tuple[float, int] = (0.0, 0)
    _works: dict[str, Work] = attrs.field(factory=dict)
    _led: tuple[str | None, int] = (None, 0)

    # --- lives

    def local(self) -> float:
        return self.offset + self.world.now * self.rate

    def start(self) -> None:
        self.life += 1
        self.left = self.paused = self.stopping = False
        self.copy = Copy(self.storage, self.strict)
        self.peers, self._works, self._queue, self._led = {}, {}, [], (None, 0)
        self.core = Leadership(CONFIG, self.name, random.Random(self.world.rng.random()), self.local())
        self.world.note(self.name, "starts")
        self._set_timer()
        self.world.after(self.world.rng.random() * SYNC_EVERY, self.mine(self._sync))
        self.world.after(RECONCILE_EVERY, self.mine(self._reconcile_again))

    def crash(self) -> None:
        self.core = None
        self.life += 1
        self.world.note(self.name, "crashes")

    def pause(self) -> None:
        self.paused = True
        self.world.note(self.name, "is paused")

    def resume(self) -> None:
        """Clocks ran on. What piled up comes in an order of its own, timers anywhere among it."""
        if not self.paused:
            return
        self.paused = False
        self.world.note(self.name, "wakes")
        queue, self._queue = self._queue, []
        if self.world.rng.random() < 0.5:
            self.world.rng.shuffle(queue)
        for call, args in queue:
            self.run(call, *args)

    def leave(self) -> None:
        """A graceful stop: hand over, stay a moment to vote, say goodbye."""
        assert self.core is not None
        self.world.note(self.name, "stops")
        self.stopping = True
        self._perform(self.core.resign(self.local()))
        self.world.after(1.0, self.mine(self.gone))

    def gone(self) -> None:
        self.left = True
        self.crash()

    def mine(self, call: Callable[..., None]) -> Callable[..., None]:
        """A call that happens only in this life, and not while paused."""
        life = self.life

        def guarded(*args: Any) -> None:
            if self.life == life and self.core is not None:
                self.run(call, *args)

        return guarded

    def run(self, call: Callable[..., None], *args: Any) -> None:
        if self.paused:
            self._queue.append((call, args))
        elif self.core is not None:
            call(*args)

    # --- the driver

    def arrive(self, source: str, message: Any) -> None:
        self.run(self._received, source, message)

    def _received(self, source: str, message: Any) -> None:
        assert self.core is not None
        match message:
            case Ask():
                self._asked(message)
            case Gossip():
                self.copy.merge(message.entries, self.local())
            case Digest() | SyncRequest() | SyncReply():
                self._synced(source, message)
            case _:
                self._perform(self.core.receive(source, message, self.local()))

    def _tick(self, alarm: int) -> None:
        if alarm != self._alarm:
            return
        at, ticks = self._ticks
        self._ticks = (self.world.now, ticks + 1 if at == self.world.now else 1)
        if self._ticks[1] > _MOST_TICKS:
            raise Broken(f"{self.name}'s timer does not advance")
        assert self.core is not None
        self._timer = 0.0
        self._perform(self.core.tick(self.local()))

    def see(self, peers: dict[str, Peer]) -> None:
        """What the failure detector says."""
        assert self.core is not None
        if peers != self.peers:
            self.peers = peers
            self._perform(self.core.members_changed(peers.values(), self.local()))

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self.network.send(self.name, effect.to, effect.message)
                case ReadFence():
                    self.storage.get(self.name, FENCE, self.mine(self._fence_read))
                case WriteFence():
                    since = effect.fence.since or f"{self.world.now:.3f}"
                    stamped = attrs.evolve(effect, fence=attrs.evolve(effect.fence, since=since))
                    answer = self.mine(lambda outcome, write=stamped: self._fence_written(write, outcome))
                    self.storage.put(self.name, FENCE, stamped.fence, stamped.expected, answer)
                case BecameLeader():
                    self.leading_since = self.world.now
                    self.world.note(self.name, f"LEADS term {effect.term}")
                    self._begin(FENCE, self._reconcile(effect.term))
                case LostLeadership():
                    self.world.note(self.name, f"leads term {effect.term} no more: {effect.reason}")
                    self._works.clear()
                case LeaderChanged():
                    self._changed(effect)
        if self._leads() is not None:
            self.check_leases()
        self._set_timer()

    def _changed(self, effect: LeaderChanged) -> None:
        if (effect.name, effect.term) == self._led and effect.name is not None:
            raise Broken(f"{self.name} was told twice that {effect.name} leads term {effect.term}")
        self._led = (effect.name, effect.term)

    def _set_timer(self) -> None:
        assert self.core is not None
        due = self.core.deadline()
        if due != self._timer:
            self._timer = due
            self._alarm += 1
            if due < float("inf"):
                late = 1e-6 + 0.01 * self.world.rng.random() ** 4
                when = max(self.world.now, (due - self.offset) / self.rate + late)
                self.world.at(when, self.mine(self._tick), self._alarm)

    def _fence_read(self, result: tuple[int, Any] | None) -> None:
        assert self.core is not None
        if result is None:
            self._perform(self.core.fence_unreadable(self.local()))
        else:
            self._perform(self.core.fence_read(result[1], result[0], self.local()))

    def _fence_written(self, write: WriteFence, outcome: Written) -> None:
        assert self.core is not None
        self._perform(self.core.fence_written(write, outcome, self.local()))

    # --- the map

    def _sync(self) -> None:
        self.copy.expire(self.local(), self._leads())
        self.network.send(self.name, self.world.rng.choice(self.others), Digest(self.copy.map.root()))
        self.world.after(SYNC_EVERY * (0.5 + self.world.rng.random()), self.mine(self._sync))

    def _synced(self, source: str, message: Digest | SyncRequest | SyncReply) -> None:
        match message:
            case Digest():
                if message.root != self.copy.map.root():
                    self.network.send(self.name, source, SyncRequest(*self.copy.start_sync()))
            case SyncRequest():
                reply = self.copy.answer_sync(message.request, self.local())
                self.network.send(self.name, source, SyncReply(message.number, reply))
            case SyncReply():
                further = self.copy.go_on_sync(message.number, message.reply, self.local())
                if further is not None:
                    self.network.send(self.name, source, SyncRequest(*further))

    def _publish(self, term: int, key: str, version: int, record: Record) -> None:
        entry = self.copy.write(term, key, version, deleted=record.deleted, now=self.local())
        for other in self.others:
            self.network.send(self.name, other, Gossip([entry]))

    # --- a leader's work: generators whose every step may be the last

    def _leads(self) -> int | None:
        assert self.core is not None
        return self.core.leads(self.local())

    def _asked(self, ask: Ask) -> None:
        term, key = self._leads(), ask.operation.key
        if term is not None:
            if key not in self._works:
                self._begin(key, self._serve(term, ask.operation))
            return
        assert self.core is not None
        leader = self.core.leader(self.local())
        if leader is not None and leader != self.name and ask.hops == 0:
            self.network.send(self.name, leader, Ask(ask.operation, hops=1))

    def _begin(self, key: str, work: Work) -> None:
        self._works[key] = work
        self._step(key, work, None)

    def _step(self, key: str, work: Work, result: Any) -> None:
        if self._works.get(key) is not work:
            return  # cancelled with the term
        try:
            wait = work.send(result)
        except StopIteration:
            self._works.pop(key, None)
        else:
            wait(self.mine(lambda outcome: self._step(key, work, outcome)))

    def _get(self, key: str) -> Callable[[Callable[[Any], None]], None]:
        return lambda answer: self.storage.get(self.name, key, answer)

    def _put(self, key: str, value: Fence | Record | Journal, expected: int) -> Any:
        return lambda answer: self.storage.put(self.name, key, value, expected, answer)

    def _serve(self, term: int, wanted: Operation) -> Work:
        found = yield self._get(wanted.key)
        if found is None:
            return
        version, record = found
        if record is None or record.op < wanted.number:
            record = yield from self._change(term, wanted, version, record)
            version += 1
        if record is None or self._leads() != term:
            return
        if self.is_news(wanted.key, version, record):
            self._publish(term, wanted.key, version, record)
        self.network.send(self.name, wanted.client, wanted)

    def _change(
        self, term: int, wanted: Operation, version: int, old: Record | None
    ) -> Generator[Any, Any, Record | None]:
        record = Record(wanted.number, term, serial=old.serial if old else 0, deleted=True)
        if not wanted.delete:
            order = yield from self._order(term, wanted)
            if not order:
                return None
            serial = yield lambda answer: self.authority.fetch(order, answer)
            if not serial or self._leads() != term:
                return None
            record = Record(wanted.number, term, order, serial)
        elif not (yield from self._confirm(term)):
            return None
        outcome = yield self._put(wanted.key, record, version)
        return record if outcome is Written.OK else None

    def _order(self, term: int, wanted: Operation) -> Generator[Any, Any, int]:
        """The number of the order for it, which an earlier term may have placed; 0 when it must be tried again."""
        place = f"{wanted.key}/order"
        if not (yield from self._confirm(term)):
            return 0
        found = yield self._get(place)
        if found is None:
            return 0
        version, journal = found
        if self.knows_order(journal, wanted):
            return int(journal.order)
        if not (yield from self._confirm(term)):
            return 0
        number = yield lambda answer: self.authority.order(
            self.name, wanted.key, wanted.number, term, self.leading_since, answer
        )
        if not number or self._leads() != term:
            return 0
        outcome = yield self._put(place, Journal(wanted.number, term, number), version)
        return number if outcome is Written.OK and self._leads() == term else 0

    def _confirm(self, term: int) -> Generator[Any, Any, bool]:
        """Read the fence, and ask the core whether this node still leads."""
        found = yield self._get(FENCE)
        if found is None:
            return False
        self._fence_read(found)
        return self._leads() == term

    def _reconcile(self, term: int) -> Work:
        """Storage is the truth about what the map should hold."""
        for key in [key for key in self.storage.data if key != FENCE and "/" not in key]:
            found = yield self._get(key)
            if found is None or self._leads() != term:
                return
            if self.is_news(key, found[0], found[1]):
                self._publish(term, key, found[0], found[1])
        self.copy.reconciled = term

    def is_news(self, key: str, version: int, record: Record) -> bool:
        """Whether the map doesn't have yet what storage has."""
        return not self.copy.knows(key, version, deleted=record.deleted)

    def knows_order(self, journal: Journal | None, wanted: Operation) -> bool:
        """Whether the journal has an order for it already."""
        return journal is not None and journal.op == wanted.number

    def _reconcile_again(self) -> None:
        term = self._leads()
        if term is not None and FENCE not in self._works:
            self._begin(FENCE, self._reconcile(term))
        self.world.after(RECONCILE_EVERY, self.mine(self._reconcile_again))

    def status(self) -> Status:
        """What others will find out sooner or later."""
        return Status.LEFT if self.left else Status.DEAD if self.core is None else Status.ALIVE
