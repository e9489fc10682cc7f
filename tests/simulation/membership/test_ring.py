"""Rings in virtual time: what an operator would see over minutes and hours, in seconds."""

from __future__ import annotations

import pytest

from acme_manager.ring.config import RingConfig
from acme_manager.ring.types import Status
from tests.simulation.membership.figures import measure, settled
from tests.simulation.membership.ring import Node, Ring, address, name
from tests.simulation.network import Network, Weather


def complete(size: int, seed: int = 1, weather: Weather | None = None, config: RingConfig | None = None) -> Ring:
    """A ring in which everybody sees everybody, and has for ten seconds."""
    network = Network(seed, weather)
    ring = Ring(network, size, config)
    assert network.run_until(ring.complete, 30) is not None
    network.run(10)
    return ring


def deaths(ring: Ring) -> list[tuple[float, str]]:
    """All that anybody took for dead."""
    return [death for node in ring.nodes.values() for death in node.deaths()]


@pytest.mark.parametrize(("size", "limit"), [(1, 0.1), (2, 0.1), (3, 0.1), (5, 0.2), (50, 1.5)])
def test_all_who_start_with_one_seed_see_all(size: int, limit: float) -> None:
    for seed in range(3):
        network = Network(seed)
        ring = Ring(network, size)
        assert network.run_until(ring.complete, limit) is not None


def test_who_starts_before_its_seed_finds_it_when_it_comes() -> None:
    network = Network(1)
    ring = Ring(network, 0)
    for number in (3, 2):
        ring.nodes[number] = ring.start(number)
    network.run(20)
    ring.nodes[1] = ring.start(1)
    assert network.run_until(ring.complete, 40) is not None


@pytest.mark.parametrize(("size", "bound"), [(2, 6.5), (3, 7.5), (5, 10.5), (50, 15.0)])
def test_one_that_crashes_is_dead_for_all_within_bounds(size: int, bound: float) -> None:
    """At most one round of probes until somebody asks, a second for the answer, then the shortest suspicion."""
    for seed in range(3):
        ring = complete(size, seed)
        ring.crash(2)
        took = ring.network.run_until(lambda ring=ring: ring.all_see(2, Status.DEAD), bound)  # type: ignore[misc]
        assert took is not None
        assert {who for _, who in deaths(ring)} == {name(2)}


@pytest.mark.parametrize("tcp", [True, False])
def test_ten_minutes_with_a_twentieth_of_all_packets_lost_cost_nobody_his_life(
    tcp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Node, "answers_tcp_pings", tcp)
    for seed in range(5):
        ring = complete(5, seed, Weather(loss=0.05, duplicates=0.02, jitter=0.05))
        ring.network.run(600)
        assert deaths(ring) == []
        assert ring.complete()


def test_half_of_all_packets_lost_are_survived_thanks_to_tcp() -> None:
    ring = complete(5, weather=Weather(loss=0.5))
    ring.network.run(600)
    assert deaths(ring) == []
    assert all(node.core.statistics().counts.probes_by_tcp for node in ring.nodes.values())


def test_without_udp_nobody_dies() -> None:
    network = Network(1, Weather(loss=1.0))
    ring = Ring(network, 3)
    assert network.run_until(ring.complete, 90) is not None
    network.run(120)
    assert deaths(ring) == []


@pytest.mark.parametrize("seconds", [8, 20, 60, 3600])
@pytest.mark.parametrize("sides", [([1, 2], [3]), ([1, 2, 3], [4, 5]), ([1], [2], [3])])
def test_a_partition_heals_without_a_restart(seconds: float, sides: tuple[list[int], ...]) -> None:
    ring = complete(sum(len(side) for side in sides))
    ring.network.partition(*([address(number) for number in side] for side in sides))
    ring.network.run(seconds)
    apart = {(a, b) for side in sides for a in side for b in ring.nodes if b not in side}
    if seconds >= 60:
        assert {ring.nodes[a].status(name(b)) for a, b in apart} == {Status.DEAD}
    ring.network.heal()
    assert ring.network.run_until(ring.complete, 15) is not None


def test_a_partition_of_many_heals() -> None:
    ring = complete(40)
    ring.network.partition([address(number) for number in range(1, 21)], [address(number) for number in range(21, 41)])
    ring.network.run(120)
    assert ring.all_see(1, Status.DEAD) is False
    ring.network.heal()
    assert ring.network.run_until(ring.complete, 15) is not None


def test_a_member_that_only_hears_is_dead_and_comes_back() -> None:
    ring = complete(5)
    for number in (1, 3, 4, 5):
        ring.network.cut(address(2), address(number))
    ring.network.run(60)
    assert all(node.status(name(2)) is Status.DEAD for number, node in ring.nodes.items() if number != 2)
    ring.network.heal()
    assert ring.network.run_until(ring.complete, 15) is not None


def test_a_link_that_is_cut_between_two_costs_nobody_his_life() -> None:
    ring = complete(5)
    ring.network.cut(address(2), address(3))
    ring.network.cut(address(3), address(2))
    ring.network.run(300)
    assert deaths(ring) == []


def test_a_process_that_stands_still_does_not_take_others_for_dead_when_it_goes_on() -> None:
    ring = complete(5)
    ring.network.pause(address(2))
    ring.network.run(30)
    assert all(node.status(name(2)) is Status.DEAD for number, node in ring.nodes.items() if number != 2)
    ring.network.resume(address(2))
    assert ring.network.run_until(ring.complete, 15) is not None
    assert ring.nodes[2].deaths() == []


def test_clocks_that_drift_apart_do_no_harm() -> None:
    network = Network(1)
    ring = Ring(network, 0)
    for number in range(1, 6):
        node = Node(network, name(number), address(number), ring.config, drift=0.95 + 0.02 * number)
        node.join(address(1))
        ring.nodes[number] = node
    assert network.run_until(ring.complete, 30) is not None
    network.run(600)
    assert deaths(ring) == []


def test_who_leaves_has_left_for_all_and_soon() -> None:
    for size, limit in ((2, 0.6), (3, 0.5), (5, 0.5), (50, 0.5)):
        ring = complete(size)
        before = ring.network.now
        ring.nodes.pop(2).leave()
        assert ring.network.now - before < limit
        assert ring.network.run_until(lambda ring=ring: ring.all_see(2, Status.LEFT), 1) is not None  # type: ignore[misc]
        ring.network.run(60)
        assert deaths(ring) == []


@pytest.mark.parametrize("gone_for", [0.5, 60.0, 7200.0])
def test_who_left_may_come_back_under_its_name(gone_for: float) -> None:
    ring = complete(3)
    ring.nodes.pop(2).leave()
    ring.network.run(gone_for)
    ring.restart(2)
    assert ring.network.run_until(ring.complete, 5) is not None


@pytest.mark.parametrize("gone_for", [0.5, 20.0, 7200.0])
def test_who_crashed_may_come_back_under_its_name(gone_for: float) -> None:
    ring = complete(3)
    ring.crash(2)
    ring.network.run(gone_for)
    ring.restart(2)
    assert ring.network.run_until(ring.complete, 5) is not None


@pytest.mark.parametrize("gone_for", [0.5, 20.0, 7200.0])
def test_a_name_may_come_back_at_another_address(gone_for: float) -> None:
    ring = complete(3)
    ring.crash(2)
    ring.network.run(gone_for)
    moved = Node(ring.network, name(2), address(77), ring.config)
    moved.join(address(1))
    ring.nodes[2] = moved

    def found() -> bool:
        return ring.complete() and all(
            (member := node.core.member(name(2))) is not None and member.address == address(77)
            for node in ring.nodes.values()
        )

    assert ring.network.run_until(found, 15) is not None


def test_a_second_node_of_the_same_name_is_refused_by_all_and_starts_no_storm() -> None:
    ring = complete(5)
    impostor = Node(ring.network, name(2), address(77), ring.config)
    impostor.join(address(1))
    before = ring.network.traffic.packets
    ring.network.run(60)
    assert ring.network.traffic.packets - before < 60 * 2 * 6 * 1.5
    for node in ring.nodes.values():
        member = node.core.member(name(2))
        assert member is not None
        assert (member.address, member.incarnation) == (address(2), 1)
    assert any("conflicting address" in refused.reason for refused in ring.nodes[1].refused)


def test_rings_of_two_kinds_do_not_mix_and_say_why() -> None:
    network = Network(1)
    ring = Ring(network, 3)
    stranger = Node(network, "stranger", address(9), RingConfig(delegate_version=5))
    stranger.join(address(1))
    network.run(30)
    assert ring.complete()
    assert [member.name for member in stranger.core.members()] == ["stranger"]
    assert "delegate-version" in stranger.refused[0].reason


def test_an_update_reaches_all_well_under_a_second() -> None:
    for size in (3, 5, 50):
        for seed in range(2):
            ring = complete(size, seed)
            ring.nodes[1].tell("key", b"news")
            assert ring.network.run_until(lambda ring=ring: heard(ring), 0.8 if size > 9 else 0.3) is not None  # type: ignore[misc]


def heard(ring: Ring) -> bool:
    """Whether all have heard something; who has, passes it on once, as the shared map does."""
    for number, node in ring.nodes.items():
        if number != 1 and node.heard and not hasattr(node, "passed_on"):
            node.passed_on = True  # type: ignore[attr-defined]
            node.tell("key", node.heard[0])
    return all(node.heard for number, node in ring.nodes.items() if number != 1)


def test_a_ring_at_rest_says_two_packets_a_second_each() -> None:
    ring = settled(Network(1), 20)
    before = ring.network.traffic.packets
    ring.network.run(100)
    assert (ring.network.traffic.packets - before) / 100 / 20 == pytest.approx(2.0, rel=0.05)


def test_a_run_repeats_itself_exactly() -> None:
    def run() -> list[object]:
        ring = complete(5, 7, Weather(loss=0.2, duplicates=0.1, jitter=0.1))
        ring.crash(3)
        ring.network.run(30)
        return [ring.network.traffic, *(node.seen for node in ring.nodes.values())]

    assert run() == run()


def test_figures_of_a_small_ring_are_near_their_formulas() -> None:
    figures = measure(10)
    assert figures.told_all is not None
    assert figures.dead_everywhere is not None
    assert figures.told_all < figures.told_all_formula
    low, high = figures.dead_formula
    assert low < figures.dead_everywhere < high
    assert figures.packets_per_second == pytest.approx(2.0, rel=0.1)
