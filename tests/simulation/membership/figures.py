"""How a ring of many members behaves, in numbers: what `scripts/bench ring` shows."""

from __future__ import annotations

import math

import attrs

from acme_manager.ring.config import RingConfig
from acme_manager.ring.types import Member, Status
from tests.simulation.membership.ring import Ring, address, name
from tests.simulation.network import Network, Weather

_WARM_UP = 3.0
_QUIET = 20.0
_LIMIT = 300.0


@attrs.frozen(kw_only=True)
class Figures:
    """Of one run. Times are seconds; None means longer than five minutes."""

    members: int
    told_all: float | None  # from an update until the last member has it
    told_all_formula: float  # interval * (log4(members) + 1.5): memberlist waits half an interval per hop, we do not
    suspected: float | None  # from a crash until the first member suspects
    dead_everywhere: float | None  # from a crash until the last member holds it dead
    dead_formula: tuple[float, float]  # suspicion alone: confirmed by enough, confirmed by nobody
    packets_per_second: float  # per member, when nothing happens
    bytes_per_second: float  # per member, packets and streams, without headers of IP and TCP


def measure(members: int, seed: int = 1, weather: Weather | None = None) -> Figures:
    """Simulate a ring in which all know each other: rest, one update, one crash."""
    network = Network(seed, weather)
    ring = settled(network, members)
    network.run(_WARM_UP)

    before = attrs.evolve(network.traffic)
    network.run(_QUIET)
    packets = network.traffic.packets - before.packets
    octets = network.traffic.packet_bytes + network.traffic.stream_bytes - before.packet_bytes - before.stream_bytes

    ring.nodes[1].tell("key", bytes(300))
    told = spread_by_hand(ring, network)

    crashed_at = network.now
    ring.crash(members)
    gone = name(members)
    dead = network.run_until(lambda: ring.all_see(members, Status.DEAD), _LIMIT)
    suspected = min(
        (when for node in ring.nodes.values() for when, change in node.seen if change.member.name == gone),
        default=None,
    )
    low = ring.config.suspicion_mult * max(1.0, math.log10(members)) * ring.config.probe_interval
    confirmed = members - 2 >= ring.config.suspicion_mult - 2
    return Figures(
        members=members,
        told_all=told,
        told_all_formula=ring.config.gossip_interval * (math.log(members, 4) + 1.5),
        suspected=suspected - crashed_at if suspected is not None else None,
        dead_everywhere=dead,
        dead_formula=(low, low * ring.config.suspicion_max_mult if confirmed else low),
        packets_per_second=packets / _QUIET / members,
        bytes_per_second=octets / _QUIET / members,
    )


def settled(network: Network, size: int, config: RingConfig | None = None) -> Ring:
    """A ring whose members all know each other and have nothing left to say."""
    ring = Ring(network, 0, config)
    for number in range(1, size + 1):
        ring.nodes[number] = ring.new(number)
    everybody = [
        Member(name=name(number), address=address(number), vsn=ring.config.vsn, incarnation=1) for number in ring.nodes
    ]
    for node in ring.nodes.values():
        common = node.core._common
        for member in everybody:
            if member.name != node.name:
                common.roster.put(member)
        common.broadcasts.members.clear()
        every = ring.config.push_pull_every(size)
        common.timers.set("push/pull", network.rng.uniform(0, every), node.core._visits._push_pull)
        network.poke(node.address)
    return ring


def spread_by_hand(ring: Ring, network: Network) -> float | None:
    """Let everybody pass on what it hears, as the shared map does. How long until all have heard something."""
    passed = {1}

    def all_heard() -> bool:
        for number, node in ring.nodes.items():
            if number not in passed and node.heard:
                passed.add(number)
                node.tell("key", node.heard[0])
        return len(passed) == len(ring.nodes)

    return network.run_until(all_heard, _LIMIT, step=0.001)
