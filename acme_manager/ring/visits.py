"""Exchanges of the full state: with a member now and then, with seeds to get in, with the dead in case they are not."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from acme_manager.ring.common import Common
from acme_manager.ring.messages import Dead, encode
from acme_manager.ring.roster import LIVE
from acme_manager.ring.types import Address, Member, PushPull, Status

_SEEDS_ALONE, _SEEDS = 16, 3  # seeds asked in one round: while nobody else is there, and later
_MOST_DOUBLINGS = 4


@attrs.define
class _Grave:
    attempts: int
    not_before: float


class Visits:
    """Plans PushPull effects; the driver makes the exchanges, and hands what it gets to `merge`."""

    def __init__(self, common: Common, now: float) -> None:
        self._common = common
        self._seeds: tuple[Address, ...] = ()
        self._rounds = 0
        self._graves: dict[str, _Grave] = {}
        config = common.config
        if config.push_pull_interval:
            common.timers.set("push/pull", now + common.rng.uniform(0, config.push_pull_interval), self._push_pull)
        common.timers.set("graveyard", now + common.rng.uniform(0, config.graveyard_interval), self._graveyard)
        common.timers.set("call", now + common.rng.uniform(0, config.call_interval), self._call)

    def set_seeds(self, seeds: Collection[Address], now: float) -> None:
        """Where to look for others; new ones are asked at once."""
        news = set(seeds) - set(self._seeds)
        self._seeds = tuple(dict.fromkeys(seeds))
        if news:
            self._rounds = 0
            self._common.timers.set("join", now, self._join)

    def hurry(self, now: float) -> None:
        """Exchange state with somebody before long, in the time that a suspicion takes at least."""
        config = self._common.config
        soon = now + config.suspicion_mult * config.probe_interval
        planned = self._common.timers.when("push/pull")
        if planned is None or planned > soon:
            self._common.timers.set("push/pull", soon, self._push_pull)

    def _push_pull(self, now: float) -> None:
        common, config = self._common, self._common.config
        if common.leaving:
            return
        if config.push_pull_interval:
            delay = config.push_pull_every(len(common.roster.current))
            common.timers.set("push/pull", now + delay, self._push_pull)
        for member in common.roster.sample(1, lambda member: member.status is Status.ALIVE):
            common.effects.append(PushPull(member.address, member.name))

    def _join(self, now: float) -> None:
        common, config = self._common, self._common.config
        if common.leaving or not self._seeds:
            return
        alone = common.roster.alone()
        here = {member.address for member in common.roster.current.values() if member.status in LIVE}
        missing = [seed for seed in self._seeds if seed not in here]
        if alone or config.rejoin_interval:
            for seed in common.rng.sample(missing, min(len(missing), _SEEDS_ALONE if alone else _SEEDS)):
                common.effects.append(PushPull(seed, "", join=True))
        delay = min(config.join_backoff_min * 2 ** min(self._rounds, 30), config.join_backoff_max)
        self._rounds = self._rounds + 1 if alone else 0
        if not alone:
            delay = config.rejoin_interval or config.join_backoff_max
        common.timers.set("join", now + delay * common.rng.uniform(0.8, 1.2), self._join)

    def _graveyard(self, now: float) -> None:
        """Visit one of the dead: behind a healed partition there is somebody."""
        common, interval = self._common, self._common.config.graveyard_interval
        if common.leaving:
            return
        common.timers.set("graveyard", now + interval, self._graveyard)
        dead = self._dead()
        self._graves = {member.name: self._graves.get(member.name, _Grave(0, now)) for member in dead}
        due = [member for member in dead if self._graves[member.name].not_before <= now]
        if due:
            member = common.rng.choice(due)
            grave = self._graves[member.name]
            grave.not_before = now + interval * 2 ** min(grave.attempts, _MOST_DOUBLINGS) * 0.99
            grave.attempts += 1
            common.effects.append(PushPull(member.address, member.name))

    def _call(self, now: float) -> None:
        """Tell one of the dead that it is: a packet is cheap enough to do so often."""
        common = self._common
        if common.leaving:
            return
        common.timers.set("call", now + common.config.call_interval, self._call)
        dead = self._dead()
        if dead:
            member = common.rng.choice(dead)
            claim = Dead(incarnation=member.incarnation, node=member.name, by=common.name)
            common.send(member.address, encode(claim), member)

    def _dead(self) -> list[Member]:
        return [member for member in self._common.roster.everybody() if member.status is Status.DEAD]
