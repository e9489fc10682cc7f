"""Nodes of a ring in virtual time, on a network in memory, with a fence record in memory."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from prometheus_client import CollectorRegistry, generate_latest
from trio.testing import MockClock

from acme_manager.errors import Conflict, InvalidRequest, NoQuorum, NotFound, NotLeader, Unavailable
from acme_manager.ring.addresses import Place
from acme_manager.ring.cluster import Ring, open_ring
from acme_manager.ring.config import RingConfig
from acme_manager.ring.envelope import Envelope
from acme_manager.ring.fencing import MemoryFence
from acme_manager.ring.join import Lookup, Seed
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.memory import MemoryNetwork, MemoryTransport, Weather
from acme_manager.ring.settings import RingSettings
from acme_manager.ring.types import Address

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualClock:
    """Wall-clock time that runs with trio's."""

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=trio.current_time() - self.began)

    def __init__(self) -> None:
        self.began = trio.current_time()


async def literally(seeds: Any) -> list[Address]:
    return [(seed.host, seed.port) for seed in seeds if seed.lookup is Lookup.LITERAL]


@attrs.define(eq=False)
class Running:
    """A node, and the scope that kills it."""

    ring: Ring
    host: str
    transport: MemoryTransport
    registry: CollectorRegistry
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    stop: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)

    @property
    def name(self) -> str:
        return self.ring.name


class World:
    """A network, a storage, and nodes that come and go."""

    def __init__(self, nursery: trio.Nursery, seed: int) -> None:
        self.network = MemoryNetwork(random.Random(seed), Weather(delay=0.001, jitter=0.002))
        self.fences = MemoryFence(delay=0.01)
        self.clock = VirtualClock()
        self.nodes: dict[str, Running] = {}
        self._nursery, self._seed = nursery, seed

    async def start(self, number: int, **changes: Any) -> Running:
        """The node `n<number>` at 10.0.0.<number>, which joins the first three."""
        name, host = f"n{number}", f"10.0.0.{number}"
        seeds = tuple(Seed(Lookup.LITERAL, f"10.0.0.{other}") for other in (1, 2, 3) if other != number)
        settings = RingSettings(
            name=name,
            place=Place(bind=(host, 7946), host=host),
            api_url=f"http://{host}:8989",
            seeds=seeds,
            **changes,
        )
        node: Running = await self._nursery.start(self._run, settings)
        self.nodes[name] = node
        return node

    async def _run(self, settings: RingSettings, task_status: trio.TaskStatus[Running]) -> None:
        transport = self.network.transport(settings.place.host)
        registry = CollectorRegistry()
        rng = random.Random(f"{self._seed} {settings.name} {trio.current_time()}")
        scope = trio.CancelScope()
        with scope, transport:
            async with open_ring(
                settings,
                transport=transport,
                fences=self.fences,
                clock=self.clock,
                rng=rng,
                registry=registry,
                resolve=literally,
            ) as ring:
                node = Running(ring, settings.place.host, transport, registry, scope)
                task_status.started(node)
                await node.stop.wait()
            node.ended.set()

    def kill(self, node: Running) -> None:
        """As kill -9 does: not a word to anybody."""
        node.transport.close()
        node.scope.cancel()
        del self.nodes[node.name]

    async def cluster(self, size: int = 3, **changes: Any) -> list[Running]:
        """So many nodes that all see one leader, and each other as active voters."""
        nodes = [await self.start(number, **changes) for number in range(1, size + 1)]
        await self.agreed()

        def settled() -> bool:
            seen = [member for node in nodes for member in node.ring.members()]
            return len([1 for member in seen if member["voter"] and member["state"] == "ACTIVE"]) == size**2

        await until(settled, 15.0)
        return nodes

    async def agreed(self, *nodes: Running, within: float = 15.0, instead: Running | None = None) -> Running:
        """Wait until these nodes (or all) know the same leader, and it knows it too. `instead`: of that one."""

        def found() -> Running | None:
            these = nodes or tuple(self.nodes.values())
            leaders = {node.ring.leader() for node in these}
            leader = self.nodes.get(next(iter(leaders)) or "") if len(leaders) == 1 else None
            return leader if leader not in {None, instead} and leader.ring.leads() else None

        leader: Running = await until(found, within)
        return leader

    def followers(self) -> list[Running]:
        return [node for node in self.nodes.values() if not node.ring.leads()]


async def until(found: Callable[[], Any], within: float) -> Any:
    """The first true value, looked for every 10 ms of virtual time."""
    with trio.fail_after(within):
        while not (value := found()):  # noqa: ASYNC110 what is looked for sets no event
            await trio.sleep(0.01)
    return value


def virtually(story: Callable[[World], Awaitable[None]], seed: int = 1) -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            await story(World(nursery, seed))
            nursery.cancel_scope.cancel()

    trio.run(body, clock=MockClock(autojump_threshold=0))


def the_others_have(world: World, key: str, value: bytes | None) -> Callable[[], bool]:
    return lambda: all(node.ring.get(key) == value for node in world.nodes.values())


@pytest.mark.parametrize("seed", range(5))
def test_three_nodes_form_a_ring_elect_one_leader_and_share_what_it_writes(seed: int) -> None:
    async def story(world: World) -> None:
        await world.cluster()
        assert sum(node.ring.leads() for node in world.nodes.values()) == 1
        leader = await world.agreed()
        assert [member["state"] for member in leader.ring.members()] == ["ACTIVE"] * 3
        leader.ring.put("certificate/a", b"1")
        await until(the_others_have(world, "certificate/a", b"1"), 1.0)
        leader.ring.remove("certificate/a")
        await until(the_others_have(world, "certificate/a", None), 1.0)

    virtually(story, seed)


def test_a_node_alone_leads_within_a_second_and_is_ready_at_once() -> None:
    async def story(world: World) -> None:
        node = await world.start(1)
        with trio.fail_after(1.0):
            await node.ring.wait_synced()
        await until(node.ring.leads, 1.0)
        assert node.ring.leader_url() == "http://10.0.0.1:8989"

    virtually(story)


def test_only_the_leader_writes() -> None:
    async def story(world: World) -> None:
        await world.cluster()
        leader = await world.agreed()
        [follower, _] = world.followers()
        with pytest.raises(NotLeader) as caught:
            follower.ring.put("certificate/a", b"1")
        assert caught.value.leader == leader.name
        assert follower.ring.leader_url() == f"http://{leader.host}:8989"
        with pytest.raises(InvalidRequest):
            leader.ring.put("member/n9/node", b"1")
        with pytest.raises(InvalidRequest):
            leader.ring.put("x", bytes(70_000))

    virtually(story)


@pytest.mark.parametrize("seed", range(5))
def test_a_leader_that_is_killed_is_replaced_within_seconds_and_nothing_is_lost(seed: int) -> None:
    async def story(world: World) -> None:
        await world.cluster()
        old = await world.agreed()
        for number in range(50):
            old.ring.put(f"certificate/{number}", b"x")
        await until(the_others_have(world, "certificate/49", b"x"), 1.0)
        world.kill(old)
        killed = trio.current_time()
        new = await world.agreed()
        assert trio.current_time() - killed < 6.0
        assert len(list(new.ring.items("certificate/"))) == 50
        new.ring.put("certificate/after", b"y")
        await until(the_others_have(world, "certificate/after", b"y"), 1.0)

    virtually(story, seed)


def test_a_minority_reads_and_does_not_write_and_is_back_after_the_partition() -> None:
    async def story(world: World) -> None:
        await world.cluster()
        old = await world.agreed()
        old.ring.put("certificate/a", b"1")
        await until(the_others_have(world, "certificate/a", b"1"), 1.0)
        majority = world.followers()
        world.network.partition({old.host}, {node.host for node in majority})
        new = await world.agreed(*majority, instead=old)
        assert not old.ring.leads()
        with pytest.raises(Unavailable):
            old.ring.put("certificate/b", b"lost")

        def says_no_quorum() -> bool:
            return isinstance(old.ring.why_not(), NoQuorum)

        await until(says_no_quorum, 10.0)
        with pytest.raises(NoQuorum, match=r"1 of 3"):
            old.ring.put("certificate/b", b"lost")
        assert old.ring.get("certificate/a") == b"1"
        new.ring.put("certificate/a", b"2")
        new.ring.put("certificate/c", b"3")
        await trio.sleep(120)  # long after everybody has taken everybody for dead
        world.network.heal()
        for key, value in (("certificate/a", b"2"), ("certificate/c", b"3")):
            await until(the_others_have(world, key, value), 30.0)
        assert old.ring.get("certificate/b") is None
        assert await world.agreed() is new
        await until(lambda: [member["state"] for member in old.ring.members()] == ["ACTIVE"] * 3, 30.0)

    virtually(story)


@pytest.mark.parametrize("seed", range(5))
def test_a_leader_that_stops_hands_over_in_less_than_a_second(seed: int) -> None:
    async def story(world: World) -> None:
        await world.cluster()
        old = await world.agreed()
        rest = world.followers()
        await trio.sleep(5)  # who has just started may not vote yet
        began = trio.current_time()
        old.stop.set()
        new = await world.agreed(*rest, instead=old)
        assert trio.current_time() - began < 1.0
        with trio.fail_after(3.0):
            await old.ended.wait()
        await until(lambda: all(state(node, old.name) == "LEAVING" for node in rest), 1.0)
        await until(lambda: new.ring.statistics()["voters"] == sorted(node.name for node in rest), 5.0)
        term, since = new.ring.term(), new.ring.statistics()["leader_since"]
        assert since
        await until(lambda: {told_of_leader(node) for node in rest} == {(term, since)}, 5.0)

    virtually(story, seed)


def told_of_leader(node: Running) -> tuple[int | None, str | None]:
    figures = node.ring.statistics()
    return figures["leader_term"], figures["leader_since"]


def state(node: Running, name: str) -> str | None:
    return next((member["state"] for member in node.ring.members() if member["name"] == name), None)


def test_a_node_that_is_not_kept_after_its_stop_is_shown_no_more() -> None:
    async def story(world: World) -> None:
        nodes = await world.cluster(keep_on_shutdown=False)
        nodes[2].stop.set()
        await until(lambda: state(nodes[0], "n3") is None, 5.0)

    virtually(story)


def test_a_member_that_will_not_come_back_is_given_up() -> None:
    async def story(world: World) -> None:
        await world.cluster()
        leader = await world.agreed()
        gone, other = world.followers()
        with pytest.raises(Conflict):
            leader.ring.forget(gone.name)
        with pytest.raises(NotFound):
            leader.ring.forget("n9")
        world.kill(gone)
        await until(lambda: state(leader, gone.name) == "Unhealthy", 60.0)
        await until(lambda: status(leader, gone.name) == "dead", 60.0)
        with pytest.raises(NotLeader):
            other.ring.forget(gone.name)
        leader.ring.forget(gone.name)
        await until(lambda: leader.ring.statistics()["voters"] == sorted([leader.name, other.name]), 5.0)
        await until(lambda: status(other, gone.name) == "left", 5.0)

    virtually(story)


def status(node: Running, name: str) -> str | None:
    return next((member["status"] for member in node.ring.members() if member["name"] == name), None)


def test_a_node_that_starts_gets_its_state_from_a_peer() -> None:
    async def story(world: World) -> None:
        await world.cluster()
        leader = await world.agreed()
        for number in range(3000):
            leader.ring.put(f"certificate/{number}", bytes(300))
        await trio.sleep(20)
        late = await world.start(4)
        began = trio.current_time()
        await late.ring.wait_synced()
        assert trio.current_time() - began < 2.0
        assert len(list(late.ring.items("certificate/"))) == 3000
        await until(lambda: len(leader.ring.statistics()["voters"]) == 4, 10.0)

    virtually(story)


def test_a_whole_cluster_that_starts_at_once_is_ready_within_seconds() -> None:
    async def story(world: World) -> None:
        nodes = [await world.start(number) for number in (1, 2, 3)]
        with trio.fail_after(3.0):
            for node in nodes:
                await node.ring.wait_synced()

    virtually(story)


def test_a_follower_waits_until_its_copy_has_a_write_even_if_gossip_is_lost() -> None:
    async def story(world: World) -> None:
        await world.cluster()
        leader = await world.agreed()
        follower = world.followers()[0]
        for number in range(5):
            leader.ring.put("certificate/a", bytes([number]))
            with trio.fail_after(1.0):
                await follower.ring.wait_for(leader.ring.stamp())
            assert follower.ring.get("certificate/a") == bytes([number])
        world.network.weather = attrs.evolve(world.network.weather, loss=0.9)
        leader.ring.put("certificate/b", b"1")
        leader.ring.put("certificate/c", b"2")
        stamp = leader.ring.stamp()
        with trio.fail_after(2.0):
            await follower.ring.wait_for(stamp)
        assert (follower.ring.get("certificate/b"), follower.ring.get("certificate/c")) == (b"1", b"2")
        with pytest.raises(InvalidRequest):
            await follower.ring.wait_for("nonsense")

    virtually(story)


def test_an_entry_too_long_for_a_packet_is_everywhere_within_a_second() -> None:
    async def story(world: World) -> None:
        await world.cluster(5)
        leader = await world.agreed()
        value = bytes(64 * 1024)
        leader.ring.put("certificate/large", value)
        await until(the_others_have(world, "certificate/large", value), 1.0)

    virtually(story)


def test_a_flood_of_writes_is_everywhere_within_seconds_and_pushes_nothing_out_of_the_queue() -> None:
    async def story(world: World) -> None:
        await world.cluster(12)  # more than are told at once
        leader = await world.agreed()
        for number in range(3000):
            leader.ring.put(f"certificate/{number}", b"x" * 600)
        await until(
            lambda: {len(list(node.ring.items("certificate/"))) for node in world.nodes.values()} == {3000}, 3.0
        )
        for node in world.nodes.values():
            assert node.ring.statistics()["queue"]["dropped"] == 0
        leader.ring.put("certificate/after", b"y")
        await until(the_others_have(world, "certificate/after", b"y"), 1.0)

    virtually(story)


def test_nodes_at_rest_find_their_copies_equal_and_exchange_next_to_nothing() -> None:
    async def story(world: World) -> None:
        nodes = await world.cluster()
        leader = await world.agreed()
        for number in range(500):
            leader.ring.put(f"certificate/{number}", b"x" * 600)
        await trio.sleep(10)
        before = [node.ring.statistics() for node in nodes]
        await trio.sleep(60)
        for node, was in zip(nodes, before, strict=True):
            told = node.ring.statistics()
            assert told["map"]["syncs"] == was["map"]["syncs"]
            assert told["map"]["received"] == was["map"]["received"]
            assert told["traffic"]["bytes_out"] - was["traffic"]["bytes_out"] < 60 * 1000
            heartbeats = [member["heartbeat"] for member in node.ring.members()]
            assert len(heartbeats) == 3
            assert all(0 <= (world.clock.now() - at).total_seconds() < 10 for at in heartbeats)

    virtually(story)


def test_a_watcher_sees_what_is_there_what_comes_and_what_goes() -> None:
    async def story(world: World) -> None:
        await world.cluster()
        leader = await world.agreed()
        follower = world.followers()[0]
        leader.ring.put("token/a", b"1")
        await until(the_others_have(world, "token/a", b"1"), 1.0)
        seen: list[tuple[str, bytes | None]] = []
        with follower.ring.watch("token/", lambda key, value: seen.append((key, value))):
            leader.ring.put("token/b", b"2")
            leader.ring.put("certificate/c", b"3")
            await until(the_others_have(world, "certificate/c", b"3"), 1.0)
            leader.ring.remove("token/a")
            await until(the_others_have(world, "token/a", None), 1.0)
        leader.ring.put("token/d", b"4")
        await until(the_others_have(world, "token/d", b"4"), 1.0)
        assert seen == [("token/a", b"1"), ("token/b", b"2"), ("token/a", None)]

    virtually(story)


def test_a_watcher_that_raises_disturbs_nobody() -> None:
    async def story(world: World) -> None:
        await world.cluster()
        leader = await world.agreed()
        follower = world.followers()[0]

        def broken(key: str, value: bytes | None) -> None:
            raise RuntimeError("a bug")

        with follower.ring.watch("certificate/", broken):
            leader.ring.put("certificate/a", b"1")
            await until(the_others_have(world, "certificate/a", b"1"), 1.0)
            leader.ring.put("certificate/b", b"1")
            await until(the_others_have(world, "certificate/b", b"1"), 1.0)

    virtually(story)


def test_work_of_the_leader_is_cancelled_when_it_is_cut_off_and_begun_by_the_next() -> None:
    async def story(world: World) -> None:
        nodes = await world.cluster()
        old = await world.agreed()
        at_work: dict[str, int] = {}

        async def work(name: str, term: int) -> None:
            at_work[name] = term
            try:
                await trio.sleep_forever()
            finally:
                del at_work[name]

        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(node.ring.whenever_leading, partial(work, node.name))
            await until(lambda: at_work, 1.0)
            assert at_work == {old.name: old.ring.term()}
            world.network.partition({old.host}, {node.host for node in nodes if node is not old})
            await until(lambda: not at_work, 5.0)
            new = await world.agreed(*(node for node in nodes if node is not old), instead=old)
            await until(lambda: at_work == {new.name: new.ring.term()}, 1.0)
            nursery.cancel_scope.cancel()

    virtually(story)


def test_a_block_for_the_leader_raises_when_leadership_is_lost_in_it() -> None:
    async def story(world: World) -> None:
        await world.cluster()
        leader = await world.agreed()
        with pytest.raises(NotLeader), world.followers()[0].ring.leading():
            raise AssertionError("a follower got in")
        world.network.partition({leader.host}, {node.host for node in world.followers()})
        with pytest.raises(NotLeader, match="in the middle"), leader.ring.leading():
            await trio.sleep_forever()

    virtually(story)


def test_a_leader_asks_storage_before_it_does_what_can_not_be_undone() -> None:
    async def story(world: World) -> None:
        node = await world.start(1)
        await until(node.ring.leads, 1.0)
        await node.ring.confirm()
        world.fences.away = True
        with pytest.raises(Unavailable):
            await node.ring.confirm()
        world.fences.away = False
        assert world.fences.fence is not None
        world.fences.fence = attrs.evolve(world.fences.fence, term=99, holder="somebody else")
        world.fences.version += 1
        with pytest.raises(Unavailable):
            await node.ring.confirm()
        assert not node.ring.leads()

    virtually(story)


def test_keys_are_changed_without_a_restart_and_strangers_are_kept_out() -> None:
    first, second = bytes(32), bytes([1]) * 32

    async def story(world: World) -> None:
        envelope = Envelope(keyring=Keyring(first))
        nodes = await world.cluster(envelope=envelope, config=RingConfig(sealed=True))
        for keyring in (Keyring(first, second), Keyring(second, first), Keyring(second)):
            for node in nodes:
                node.ring.set_keyring(keyring)
                await trio.sleep(3)
        await trio.sleep(20)
        leader = await world.agreed()
        assert [member["state"] for member in leader.ring.members()] == ["ACTIVE"] * 3
        leader.ring.put("certificate/a", b"1")
        await until(the_others_have(world, "certificate/a", b"1"), 1.0)
        for settings in ({}, {"envelope": envelope}):
            stranger = await world.start(4, **settings)
            await trio.sleep(10)
            assert stranger.ring.get("certificate/a") is None
            assert len(stranger.ring.members()) == 1
            assert {member["name"] for member in leader.ring.members()} == {"n1", "n2", "n3"}
            assert not stranger.ring.leads()
            world.kill(stranger)
        assert leader.ring.statistics()["refusals"]["bad"] > 0

    virtually(story)


def test_another_clusters_label_is_refused() -> None:
    async def story(world: World) -> None:
        nodes = await world.cluster(envelope=Envelope(label=b"prod"), config=RingConfig(label="prod"))
        stranger = await world.start(4, envelope=Envelope(label=b"test"), config=RingConfig(label="test"))
        await trio.sleep(20)
        assert len(stranger.ring.members()) == 1
        assert len(nodes[0].ring.members()) == 3

    virtually(story)


def test_garbage_is_counted_and_ends_nothing() -> None:
    async def story(world: World) -> None:
        nodes = await world.cluster()
        stranger = world.network.transport("10.0.0.66")
        rng = random.Random(3)
        for kind in range(16):
            for _ in range(50):
                stranger.send((nodes[0].host, 7946), bytes([kind]) + rng.randbytes(rng.randrange(60)))
                stranger.send((nodes[0].host, 7946), bytes([8, kind]) + rng.randbytes(rng.randrange(60)))
        for kind in range(16):
            async with await stranger.dial((nodes[0].host, 7946)) as stream:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(bytes([kind]) + rng.randbytes(100))
        await trio.sleep(10)
        leader = await world.agreed()
        assert sorted(member["name"] for member in leader.ring.members()) == ["n1", "n2", "n3"]
        figures = nodes[0].ring.statistics()
        assert figures["refusals"]["bad"] > 100
        assert figures["map"]["invalid"] > 0

    virtually(story)


def test_a_node_comes_back_under_its_name_with_its_own_facts() -> None:
    async def story(world: World) -> None:
        await world.cluster()
        old = world.followers()[0]
        old.ring.put_fact("colour", b"red")
        key = f"member/{old.name}/colour"
        await until(the_others_have(world, key, b"red"), 1.0)
        world.kill(old)
        await trio.sleep(2)
        again = await world.start(int(old.name[1:]))
        again.ring.put_fact("colour", b"blue")
        await until(the_others_have(world, key, b"blue"), 10.0)
        await until(lambda: all(state(node, old.name) == "ACTIVE" for node in world.nodes.values()), 60.0)

    virtually(story)


def test_bad_weather_delays_and_loses_nothing() -> None:
    async def story(world: World) -> None:
        world.network.weather = Weather(delay=0.02, jitter=0.2, loss=0.2, duplication=0.1)
        nodes = [await world.start(number) for number in range(1, 6)]
        await world.agreed(within=60)
        for number in range(100):
            leader = await world.agreed(within=60)
            with suppress(Unavailable):
                leader.ring.put(f"certificate/{number}", b"x")
        await until(lambda: len({tuple(sorted(node.ring.items("certificate/"))) for node in nodes}) == 1, 60.0)
        assert len(list(nodes[0].ring.items("certificate/"))) > 90

    virtually(story)


def test_every_metric_of_the_guide_is_there_with_a_true_value() -> None:
    async def story(world: World) -> None:
        await world.cluster()
        leader = await world.agreed()
        before = metrics(leader)
        leader.ring.put("certificate/a", b"1")
        leader.ring.remove("certificate/a")
        leader.ring.put("token/b", b"1")
        with pytest.raises(NotLeader):
            world.followers()[0].ring.put("x", b"1")
        await until(the_others_have(world, "token/b", b"1"), 1.0)
        await trio.sleep(40)
        told, follower = metrics(leader), metrics(world.followers()[0])
        prefix = "acme_manager_memberlist_client_"
        assert told[prefix + "cluster_members_count"] == 3
        assert told[prefix + "cas_success_total"] - before[prefix + "cas_success_total"] == 3
        assert follower[prefix + "cas_attempt_total"] == follower[prefix + "cas_failure_total"] == 1
        assert told[prefix + 'kv_store_value_tombstones{key="certificate"}'] == 1
        assert told[prefix + "kv_store_count"] == follower[prefix + "kv_store_count"] == 2 + 3
        assert follower[prefix + "received_broadcasts_total"] > 0
        assert follower[prefix + "received_broadcasts_invalid_total"] == 0
        assert told[prefix + "state_pulls_total"] > 0
        assert told['acme_manager_ring_members{name="acme-manager",state="ACTIVE"}'] == 3
        assert told['acme_manager_ring_tokens_total{name="acme-manager"}'] == 4
        assert told['acme_manager_ring_member_tokens_owned{name="acme-manager"}'] == 2
        assert follower['acme_manager_ring_member_tokens_owned{name="acme-manager"}'] == 1
        assert told['acme_manager_ring_member_heartbeats_total{name="acme-manager"}'] >= 8
        oldest = told['acme_manager_ring_oldest_member_timestamp{name="acme-manager",state="ACTIVE"}']
        assert 0 <= world.clock.now().timestamp() - oldest < 12
        assert (told["acme_manager_node_role"], follower["acme_manager_node_role"]) == (1, 2)
        assert told["acme_manager_ring_unencrypted"] == 1

    virtually(story)


def metrics(node: Running) -> dict[str, float]:
    lines = generate_latest(node.registry).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


def test_a_lost_socket_ends_the_block_with_its_error() -> None:
    async def body() -> None:
        network = MemoryNetwork(random.Random(1))
        transport = network.transport("10.0.0.1")

        async def lost() -> tuple[bytes, Address]:
            await trio.sleep(5)
            raise OSError("the socket is lost")

        transport.receive = lost  # type: ignore[method-assign]
        settings = RingSettings(name="n1", place=Place(bind=("10.0.0.1", 7946), host="10.0.0.1"))
        async with open_ring(
            settings,
            transport=transport,
            fences=MemoryFence(),
            clock=VirtualClock(),
            rng=random.Random(1),
            resolve=literally,
        ):
            await trio.sleep_forever()

    with pytest.raises(OSError, match="the socket is lost"):
        trio.run(body, clock=MockClock(autojump_threshold=0))
