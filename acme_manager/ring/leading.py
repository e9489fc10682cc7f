"""The driver of leadership.py: its timer, its packets, the fence record, and the scopes that end with a term."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import attrs
import structlog
import trio

from acme_manager.errors import NotLeader, StorageUnavailable, Unavailable
from acme_manager.ports import Clock
from acme_manager.ring import ballots
from acme_manager.ring.alarm import Alarm
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
from acme_manager.ring.fence import Fence
from acme_manager.ring.fencing import FenceStorage
from acme_manager.ring.leadership import Leadership
from acme_manager.ring.voters import Peer

_log = structlog.get_logger(__name__)
T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Around:
    """The layers around. The driver calls them at once, in the order of events."""

    send: Callable[[str, bytes], None]  # a packet's body, to the member of that name
    why_not: Callable[[], Unavailable]
    leader_changed: Callable[[str | None], None]
    fence_changed: Callable[[], None]  # what is known of the record


class Leading:
    """One node's part in who leads. `patience` is for one operation on the fence record, in seconds.

    Everything but the fence record is done at once and in order, so nothing can come between an event and what
    follows from it. `run` has to be running.
    """

    def __init__(
        self,
        core: Leadership,
        name: str,
        fences: FenceStorage,
        clock: Clock,
        patience: float,
        around: Around,
    ) -> None:
        self._core, self._name, self._fences, self._clock = core, name, fences, clock
        self._patience, self._around = patience, around
        self._alarm = Alarm(core.deadline, self._tick)
        self._nursery: trio.Nursery | None = None
        self._scopes: set[trio.CancelScope] = set()
        self._changed = trio.Event()  # replaced whenever it is set
        self._shown: Fence | None = None
        self.looked = False  # at the fence record, at least once, with whatever outcome
        self.terms_begun = 0
        self.terms_lost = 0

    # --- for everybody

    def term(self) -> int | None:
        """The term that this node leads at this very instant, by arithmetic alone."""
        return self._core.leads(trio.current_time())

    def leader(self) -> str | None:
        """Who leads, as far as this node knows."""
        return self._core.leader(trio.current_time())

    @property
    def fence(self) -> Fence | None:
        """The fence record as last seen."""
        return self._core.fence

    @contextmanager
    def leading(self) -> Iterator[int]:
        """A block that only a leader may run; yields its term. It is cancelled the moment leadership is lost.

        Raises why this node can't lead at the start, and NotLeader when the block was cancelled.
        """
        term = self.term()
        if term is None:
            raise self._around.why_not()
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                yield term
            finally:
                self._scopes.discard(scope)
        if scope.cancelled_caught:
            raise NotLeader("leadership was lost in the middle", self.leader())

    async def whenever_leading(self, work: Callable[[int], Awaitable[object]]) -> None:
        """Run `work(term)` once in each term of this node's, cancelled when the term ends. Never returns."""
        while True:
            term = await self._until(self.term)
            with suppress(NotLeader), self.leading():
                await work(term)
            await self._until(lambda term=term: self.term() != term)  # type: ignore[misc]

    async def changed(self) -> None:
        """Wait until another leads than now, or none, or again one."""
        await self._changed.wait()

    async def confirm(self) -> None:
        """Look at the fence record: only who then still leads may go on. Raises StorageUnavailable, or why not."""
        if self.term() is None:
            raise self._around.why_not()
        if (trouble := await self._read()) is not None:
            raise StorageUnavailable(
                f"the fence record can't be read, so it is not certain that this node still leads: {trouble}"
            )
        if self.term() is None:
            raise self._around.why_not()

    # --- what happens

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do what is due, for ever."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await self._alarm.run()

    def receive_untrusted(self, body: bytes) -> None:
        """A packet's body. Raises BadPacket."""
        sender, message = ballots.parse_untrusted(body)
        self._perform(self._core.receive(sender, message, trio.current_time()))

    def members_changed(self, peers: Iterable[Peer]) -> None:
        """All members, this one included."""
        self._perform(self._core.members_changed(peers, trio.current_time()))

    def forget(self, name: str) -> None:
        """Take a voter that is gone off the list."""
        self._perform(self._core.forget(name, trio.current_time()))

    def resign(self) -> bool:
        """Hand over if this node leads, and say whether it did. It wants to lead no more, and goes on voting."""
        leads = self.term() is not None
        self._perform(self._core.resign(trio.current_time()))
        return leads

    async def handed_over(self) -> None:
        """Wait until another leads. The caller bounds the wait."""
        await self._until(lambda: self.leader() not in {None, self._name})

    # --- doing it

    def _tick(self) -> None:
        self._perform(self._core.tick(trio.current_time()))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._around.send(effect.to, ballots.encode(self._name, effect.message))
                case ReadFence():
                    self._start(self._read)
                case WriteFence():
                    self._start(self._write, effect)
                case BecameLeader():
                    self.terms_begun += 1
                    _log.info("leadership gained", term=effect.term)
                case LostLeadership():
                    self._lost(effect)
                case LeaderChanged():
                    _log.info("leader changed", leader=effect.name or "", term=effect.term)
                    self._notify()
                    self._around.leader_changed(effect.name)
        self._alarm.moved()
        if self._core.fence is not self._shown:
            self._shown = self._core.fence
            self._around.fence_changed()

    def _lost(self, lost: LostLeadership) -> None:
        self.terms_lost += 1
        for scope in self._scopes:
            scope.cancel(reason="leadership lost")
        _log.warning("leadership lost", term=lost.term, reason=lost.reason)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _until(self, found: Callable[[], T | None]) -> T:
        """Wait for something that changes with the leader only; false values count as nothing."""
        while not (value := found()):
            await self._changed.wait()
        await trio.lowlevel.checkpoint()
        return value

    def _start(self, work: Callable[..., Awaitable[object]], *args: object) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(work, *args)

    async def _read(self) -> str | None:
        """Look at the fence record; returns what is in the way, if anything."""
        try:
            with trio.fail_after(self._patience):
                fence, version = await self._fences.read()
        except (Unavailable, ValueError, trio.TooSlowError) as error:
            trouble = str(error) or f"storage does not answer within {self._patience:g} s"
            _log.warning("fence record not read", error=trouble)
            self.looked = True
            self._perform(self._core.fence_unreadable(trio.current_time()))
            return trouble
        self._perform(self._core.fence_read(fence, version, trio.current_time()))
        self.looked = True
        return None

    async def _write(self, write: WriteFence) -> None:
        if not write.fence.since:
            since = self._clock.now().isoformat(timespec="seconds")
            write = attrs.evolve(write, fence=attrs.evolve(write.fence, since=since))
        outcome = Written.UNKNOWN
        try:
            with trio.fail_after(self._patience):
                outcome = await self._fences.write(write.fence, write.expected)
        except (Unavailable, trio.TooSlowError) as error:
            _log.warning("fence record perhaps not written", error=str(error) or "too slow")
        self._perform(self._core.fence_written(write, outcome, trio.current_time()))
