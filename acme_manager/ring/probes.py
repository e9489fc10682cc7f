"""Is everybody there? One member at a time is asked, then asked through others and over TCP, then suspected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs

from acme_manager.ring.common import Common
from acme_manager.ring.messages import Ack, IndirectPing, Nack, Ping, Suspect, encode
from acme_manager.ring.types import Address, Member, PingStream, Status

ANSWERS_TCP = 3  # the protocol versions from which on a peer answers a ping over TCP,
SENDS_NACK = 4  # and tells that its own ping for us got no answer
_SEQUENCES = 2**32

Accuse = Callable[[Suspect, Address | None, float], None]


@attrs.define(kw_only=True)
class _Probe:
    """The member as it was when we asked: an accusation must not hit a life that it has claimed since."""

    member: Member
    sequence: int
    deadline: float
    nacks_expected: int = 0
    nacks: int = 0


@attrs.frozen(kw_only=True)
class _Relay:
    """A ping that we sent for somebody else."""

    asker: Address
    sequence: int
    nack: bool


class Prober:
    """Probes others, answers their probes, and relays."""

    def __init__(self, common: Common, accuse: Accuse, now: float) -> None:
        self._common = common
        self._accuse = accuse
        self._probe: _Probe | None = None
        self._relays: dict[int, _Relay] = {}
        self._last = common.rng.randrange(_SEQUENCES)  # a late answer to an earlier life of this node fits nothing
        first = now + common.rng.uniform(0, common.config.probe_interval)
        common.timers.set("probe", first, self._next)

    # --- asking ---

    def _next(self, now: float) -> None:
        common = self._common
        self._judge(now)
        if common.leaving:
            return
        deadline = now + common.health.scaled(common.config.probe_interval)
        common.timers.set("probe", deadline, self._next)
        member = common.roster.next_to_probe(now)
        if member is not None:
            common.counts.probes += 1
            self._probe = _Probe(member=member, sequence=self._sequence(), deadline=deadline)
            self._ping(self._probe)
            common.timers.set("probe timeout", now + common.config.probe_timeout, self._ask_others)

    def _ping(self, probe: _Probe) -> None:
        member, common = probe.member, self._common
        first = [encode(Ping(sequence=probe.sequence, node=member.name))]
        if member.status is Status.SUSPECT:  # so that it can object in time
            accusation = Suspect(incarnation=member.incarnation, node=member.name, by=common.name)
            first.append(encode(accusation))
        common.send(member.address, common.broadcasts.along(*first, transmits=common.transmits), member)

    def _ask_others(self, _now: float) -> None:
        probe, common = self._probe, self._common
        if probe is None:
            return
        target = probe.member
        question = IndirectPing(sequence=probe.sequence, target=target.address, node=target.name, nack=True)
        for relay in common.roster.sample(
            common.config.indirect_checks,
            lambda member: member.status is Status.ALIVE and member.name != target.name,
        ):
            nack = relay.vsn[1] >= SENDS_NACK
            probe.nacks_expected += nack
            common.say(relay.address, question if nack else attrs.evolve(question, nack=False), relay)
        if target.vsn[1] >= ANSWERS_TCP:
            common.effects.append(PingStream(target.address, target.name, probe.sequence, probe.deadline))

    def _judge(self, now: float) -> None:
        probe, self._probe = self._probe, None
        if probe is None:
            return
        common = self._common
        common.counts.probes_failed += 1
        common.health.change(probe.nacks_expected - probe.nacks if probe.nacks_expected else 1)
        accused = probe.member
        self._accuse(Suspect(incarnation=accused.incarnation, node=accused.name, by=common.name), None, now)

    def _answered(self) -> None:
        self._probe = None
        self._common.timers.cancel("probe timeout")
        self._common.health.change(-1)

    def stream_pong(self, sequence: int) -> None:
        """It answers over TCP."""
        if self._probe is not None and self._probe.sequence == sequence:
            self._common.counts.probes_by_tcp += 1
            self._answered()

    # --- answering ---

    def ping(self, message: Ping, source: Address) -> None:
        """Somebody asks whether we are there."""
        if message.node in ("", self._common.name):
            self._common.say(message.source or source, Ack(sequence=message.sequence))

    def indirect_ping(self, message: IndirectPing, source: Address, now: float) -> None:
        """Somebody can't reach another member, and asks us to try."""
        common = self._common
        if len(self._relays) >= common.config.max_relays:
            common.counts.relays_dropped += 1
            return
        common.counts.relays += 1
        sequence = self._sequence()
        relay = _Relay(asker=message.source or source, sequence=message.sequence, nack=message.nack)
        self._relays[sequence] = relay
        common.timers.set(("relay", sequence), now + common.config.probe_timeout, partial(self._give_up, sequence))
        common.say(common.at(message.target), Ping(sequence=sequence, node=message.node))

    def ack(self, message: Ack) -> None:
        """An answer, to us or to somebody for whom we asked."""
        if self._probe is not None and self._probe.sequence == message.sequence:
            self._answered()
        elif relay := self._relays.pop(message.sequence, None):
            self._common.timers.cancel(("relay", message.sequence))
            self._common.say(relay.asker, Ack(sequence=relay.sequence))

    def nack(self, message: Nack) -> None:
        """A relay is well, and can't reach the member either."""
        probe = self._probe
        if probe is not None and probe.sequence == message.sequence:
            probe.nacks = min(probe.nacks + 1, probe.nacks_expected)

    def _give_up(self, sequence: int, _now: float) -> None:
        relay = self._relays.pop(sequence)
        if relay.nack:
            self._common.say(relay.asker, Nack(sequence=relay.sequence))

    def _sequence(self) -> int:
        self._last = (self._last + 1) % _SEQUENCES
        return self._last
