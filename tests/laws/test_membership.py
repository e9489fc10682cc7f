"""What holds for the membership core whatever comes, and in whatever order."""

from __future__ import annotations

import itertools
import random
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from acme_manager.ring.claims import HIGHEST
from acme_manager.ring.config import RingConfig
from acme_manager.ring.membership import Incompatible, Membership
from acme_manager.ring.messages import (
    Ack,
    Alive,
    Dead,
    IndirectPing,
    Nack,
    Ping,
    PushNode,
    Suspect,
    Unreadable,
    User,
    parse_untrusted,
)
from acme_manager.ring.types import Address, Effect, Member, PushPull, SendPacket, Status, StatusChanged
from tests.simulation.membership.ring import Ring
from tests.simulation.network import Network, Weather

VSN = RingConfig().vsn
US = "a"
HERE: Address = ("10.0.0.1", 7946)
THERE: Address = ("10.0.0.2", 7946)

# Few names, addresses and numbers, so that claims meet; some are there to be refused.
names = st.sampled_from([US, "b", "b", "b", "c", "c", "ü\n", "x" * 255])
addresses = st.tuples(st.sampled_from(["10.0.0.2", "10.0.0.2", "10.0.0.1", "::1"]), st.sampled_from([7946, 7946, 0, 1]))
numbers = st.sampled_from([0, 1, 1, 2, 2, 3, 4, HIGHEST - 1, HIGHEST, HIGHEST + 1, 2**32 - 1])
sequences = st.integers(0, 4) | st.just(2**32 - 1)
vsns = st.sampled_from([VSN, VSN, VSN, bytes((1, 3, 2, 0, 9, 0)), bytes((1, 5, 2, 2, 5, 5)), bytes(6), b"\xff" * 6])
metas = st.sampled_from([b"", b"x", bytes(512)])


def built(kind: type[Any], **fields: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.builds(kind, **fields)


def life(kind: type[Any], **more: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return built(kind, incarnation=numbers, address=addresses, meta=metas, vsn=vsns, **more)


source = st.none() | addresses.filter(lambda address: address[1] > 0)
claims = st.one_of(
    life(Alive, node=names),
    built(Suspect, incarnation=numbers, node=names, by=names),
    built(Dead, incarnation=numbers, node=names, by=names),
)
others = st.one_of(
    built(Ping, sequence=sequences, node=names | st.just(""), source=source),
    built(IndirectPing, sequence=sequences, target=addresses, node=names, nack=st.booleans(), source=source),
    built(Ack, sequence=sequences),
    built(Nack, sequence=sequences),
    st.builds(User, st.binary(max_size=9)),
    st.builds(Unreadable, st.text(max_size=5)),
)
states = st.lists(life(PushNode, name=names, status=st.sampled_from(Status)), max_size=4)
steps = st.one_of(
    st.tuples(st.just("packet"), claims, addresses),
    st.tuples(st.just("packet"), claims, addresses),
    st.tuples(st.just("packet"), others, addresses),
    st.tuples(st.just("merge"), states, st.booleans()),
    st.tuples(st.just("time"), st.sampled_from([0.0, 0.3, 1.0, 31.0, 3600.0]), st.none()),
    st.tuples(st.just("pong"), sequences, st.none()),
    st.tuples(st.just("meta"), metas, st.none()),
    st.tuples(st.just("tell"), st.binary(max_size=3000), st.none()),
    st.tuples(st.just("forget"), names, st.none()),
    st.tuples(st.just("seeds"), st.lists(addresses, max_size=3), st.none()),
)
scripts = st.lists(steps, min_size=10, max_size=50)


@attrs.define
class Walk:
    """One core on its way through whatever comes."""

    core: Membership
    now: float = 0.0
    effects: list[Effect] = attrs.field(factory=list)

    @classmethod
    def begin(cls, **knobs: Any) -> Walk:
        walk = cls(Membership(RingConfig(**knobs), US, HERE, b"x", random.Random(1), 0.0))
        known = Alive(incarnation=1, node="b", address=THERE, vsn=VSN)
        walk.effects += walk.core.receive(known, THERE, 0.0)
        return walk

    def take(self, step: tuple[str, Any, Any]) -> list[Effect]:
        what, value, more = step
        core, now = self.core, self.now
        match what:
            case "packet":
                return core.receive(value, more, now)
            case "merge":
                try:
                    return core.merge(value, now, join=more)
                except Incompatible:
                    return []
            case "time":
                return self.pass_time(value)
            case "pong":
                return core.stream_pong(value, now)
            case "meta":
                return core.update_meta(value, now)
            case "tell":
                core.broadcast("key", value, now)
            case "forget":
                return core.forget(value, now)
            case "seeds":
                return core.set_seeds(value, now)
        return []

    def pass_time(self, seconds: float) -> list[Effect]:
        effects: list[Effect] = []
        self.now += seconds
        for _ in range(50):  # an hour in one leap is a pause; what is due after it is not all there is
            if self.core.deadline() > self.now:
                break
            effects += self.core.tick(self.now)
        return effects


@given(scripts)
def test_nothing_that_comes_makes_it_raise_and_all_that_it_sends_can_be_read(script: list[Any]) -> None:
    walk = Walk.begin()
    for step in script:
        for effect in walk.take(step):
            if isinstance(effect, SendPacket):
                assert not any(isinstance(message, Unreadable) for message in parse_untrusted(effect.payload))


@given(scripts)
def test_an_incarnation_never_decreases(script: list[Any]) -> None:
    walk = Walk.begin()
    highest: dict[str, int] = {}
    for step in script:
        walk.take(step)
        for member in walk.core.members():
            assert member.incarnation >= highest.get(member.name, 0)
            highest[member.name] = member.incarnation


@given(scripts)
def test_we_are_alive_at_our_address_whatever_they_say(script: list[Any]) -> None:
    walk = Walk.begin()
    for step in script:
        walk.take(step)
        own = walk.core.member(US)
        assert own is not None
        assert (own.status, own.address) == (Status.ALIVE, HERE)


@given(scripts)
def test_no_table_outgrows_its_bound(script: list[Any]) -> None:
    walk = Walk.begin(max_members=3, max_queued=2, max_relays=2)
    for step in script:
        walk.take(step)
        common = walk.core._common
        assert len(walk.core.members()) <= 3
        assert len(common.broadcasts.members) <= 3
        assert len(common.broadcasts.user) <= 2
        assert len(walk.core._prober._relays) <= 2
        assert len(walk.core._claims._suspicions) <= 3
        assert len(common.timers._live) <= 3 + 2 + 8


@given(scripts)
def test_every_change_is_told_and_told_once(script: list[Any]) -> None:
    walk = Walk.begin()
    told: dict[str, Member] = {}
    for effects in itertools.chain([walk.effects], map(walk.take, script)):
        for effect in effects:
            if isinstance(effect, StatusChanged):
                before = told.get(effect.member.name)
                if effect.member.name != US:
                    assert (before.status if before else None) == effect.before
                assert before is None or view(before) != view(effect.member)
                told[effect.member.name] = effect.member
        for member in walk.core.members():
            if member.name in told:
                assert view(told[member.name]) == view(member)


def view(member: Member) -> tuple[object, ...]:
    return member.name, member.status, member.address, member.meta


@given(st.lists(st.sampled_from([Suspect, Dead]), min_size=1, max_size=6), st.lists(numbers, min_size=6, max_size=6))
def test_two_nodes_that_hear_the_same_of_a_third_in_any_order_agree(kinds: list[Any], incarnations: list[int]) -> None:
    claims: list[Any] = [
        kind(incarnation=incarnation, node="b", by="c") for kind, incarnation in zip(kinds, incarnations, strict=False)
    ]
    claims += [
        Alive(incarnation=incarnation, node="b", address=THERE, vsn=VSN, meta=b"%d" % incarnation)
        for incarnation in incarnations
    ]
    outcomes = set()
    for seed in range(4):
        walk = Walk.begin(probe_interval=1e6)
        shuffled = list(claims)
        random.Random(seed).shuffle(shuffled)
        for claim in shuffled:
            walk.core.receive(claim, HERE, 0.0)
        for _ in range(2):  # who knew too little when a claim first came hears it again
            for claim in shuffled:
                walk.core.receive(claim, HERE, 0.0)
        member = walk.core.member("b")
        assert member is not None
        outcomes.add((member.incarnation, member.status))
    assert len(outcomes) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 7), st.floats(0, 0.25), st.floats(0, 0.2), st.floats(0, 0.1))
def test_who_keeps_answering_is_not_dead_for_long_however_bad_the_network(
    seed: int, size: int, loss: float, duplicates: float, jitter: float
) -> None:
    network = Network(seed, Weather(loss=loss, duplicates=duplicates, jitter=jitter))
    ring = Ring(network, size)
    assert network.run_until(ring.complete, 60) is not None
    for _ in range(5):
        network.run(20)
        assert network.run_until(ring.complete, 40) is not None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 7), st.data())
def test_any_partition_heals_by_itself(seed: int, size: int, data: st.DataObject) -> None:
    network = Network(seed)
    ring = Ring(network, size)
    assert network.run_until(ring.complete, 30) is not None
    for _ in range(2):
        sides = [data.draw(st.integers(0, 2)) for _ in range(size)]
        network.partition(
            *(
                [node.address for node, where in zip(ring.nodes.values(), sides, strict=True) if where == side]
                for side in range(3)
            )
        )
        network.run(data.draw(st.sampled_from([1, 10, 35, 120])))
        network.heal()
        assert network.run_until(ring.complete, 60) is not None


def test_the_words_that_come_are_varied_enough_to_reach_every_rule() -> None:
    """A law that is never put to the test holds, and means nothing."""
    seen: set[type] = set()
    statuses: set[Status] = set()

    @settings(max_examples=100, database=None, derandomize=True)
    @given(scripts)
    def collect(script: list[Any]) -> None:
        walk = Walk.begin()
        for step in script:
            seen.update(type(effect) for effect in walk.take(step))
            statuses.update(member.status for member in walk.core.members() if member.name != US)

    collect()
    assert {SendPacket, StatusChanged, PushPull} <= seen
    assert statuses == set(Status)
