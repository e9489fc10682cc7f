"""Cores of leadership side by side: packets and storage take no time, unless a test holds them back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import attrs

from acme_manager.ring.effects import Effect, LeaderChanged, LostLeadership, ReadFence, Send, WriteFence, Written
from acme_manager.ring.fence import Fence
from acme_manager.ring.leadership import Leadership
from acme_manager.ring.leases import LeaseConfig
from acme_manager.ring.types import Status
from acme_manager.ring.voters import Peer

CONFIG = LeaseConfig()


@attrs.define(eq=False)
class Script:
    """`down` nodes hear and do nothing; `away` storage answers nothing good. `log` has every effect but packets."""

    names: list[str]
    fence: Fence | None = None
    version: int = 0
    now: float = 0.0
    away: bool = False
    down: set[str] = attrs.field(factory=set)
    statuses: dict[str, Status] = attrs.field(factory=dict)
    log: list[tuple[float, str, Effect]] = attrs.field(factory=list)
    write: Callable[[WriteFence], Written] | None = None
    cores: dict[str, Leadership] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for name in self.names:
            self.start(name)

    def start(self, name: str) -> Leadership:
        self.down.discard(name)
        self.statuses[name] = Status.ALIVE
        self.cores[name] = Leadership(CONFIG, name, random.Random(f"{name} {self.now}"), self.now)
        self.tell_members()
        return self.cores[name]

    def stop(self, name: str, status: Status = Status.DEAD) -> None:
        self.down.add(name)
        self.statuses[name] = status
        self.tell_members()

    def tell_members(self) -> None:
        peers = [
            Peer(name=name, status=status, since=self.now, joined=float(name[-1]))
            for name, status in self.statuses.items()
        ]
        for name in self.up():
            self.do(name, self.cores[name].members_changed(peers, self.now))

    def up(self) -> list[str]:
        return [name for name in self.cores if name not in self.down]

    def run(self, seconds: float) -> None:
        """Do what is due, when it is due, for so long."""
        end = self.now + seconds
        while True:
            due, name = min((self.cores[name].deadline(), name) for name in self.up())
            if due > end:
                break
            self.now = max(self.now, due)
            self.do(name, self.cores[name].tick(self.now))
        self.now = end

    def do(self, name: str, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Send):
                self.log.append((self.now, name, effect))
            match effect:
                case Send():
                    if effect.to in self.up() and name in self.up():
                        self.do(effect.to, self.cores[effect.to].receive(name, effect.message, self.now))
                case ReadFence():
                    self.answer_read(name)
                case WriteFence():
                    outcome = (self.write or self.put)(effect)
                    self.do(name, self.cores[name].fence_written(effect, outcome, self.now))

    def answer_read(self, name: str) -> None:
        core = self.cores[name]
        found = core.fence_unreadable(self.now) if self.away else core.fence_read(self.fence, self.version, self.now)
        self.do(name, found)

    def put(self, write: WriteFence) -> Written:
        if self.away:
            return Written.UNKNOWN
        if write.expected != self.version:
            return Written.STALE
        self.fence, self.version = write.fence, self.version + 1
        return Written.OK

    def leader(self) -> str | None:
        return next((name for name in self.up() if self.cores[name].leads(self.now) is not None), None)

    def voters(self) -> tuple[str, ...]:
        return self.fence.voters if self.fence is not None else ()

    def losses(self) -> list[str]:
        return [effect.reason for _, _, effect in self.log if isinstance(effect, LostLeadership)]

    def last_word(self, name: str) -> str | None:
        """Who leads, as that node was last told."""
        said = [effect.name for _, who, effect in self.log if who == name and isinstance(effect, LeaderChanged)]
        return said[-1] if said else None
