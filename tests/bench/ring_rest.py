"""What many certificates cost a ring at rest, beside exchanges of full states; and how fast a write spreads."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import trio

from acme_manager.ring.cluster import Ring
from acme_manager.ring.entries import encode_entries, parse_untrusted
from acme_manager.ring.store import ReplicatedMap
from acme_manager.ring.sync_messages import BATCH
from tests.bench import machine
from tests.bench.figures import say, table
from tests.parts.copies import everything, write
from tests.parts.rings import Meter, open_rings
from tests.parts.stock import Stock

_UPDATES = 200
_PUSH_PULL = 30.0  # seconds between two exchanges that a node begins: memberlist's default for a LAN


async def bench_rest(nodes: int, certificates: int, seconds: int) -> None:
    """Print the figures of nodes with real sockets on loopback addresses, all in this process."""
    stock = Stock()
    values = [
        (f"certificate/{stock.secret(number).certificate.id.key}", json.dumps(stock.metadata(number)).encode())
        for number in range(certificates)
    ]
    size = sum(len(key) + len(value) for key, value in values)
    say(f"{nodes} nodes, {certificates} certificates of {size / certificates:.0f} bytes, {seconds} s at rest")
    meter = Meter()
    async with open_rings(nodes, meter) as rings:
        took = await _spread(rings, values)
        say(f"  written by the leader in one go, they were on all nodes after {took:.1f} s")
        await trio.sleep(5)
        rest = await _at_rest(rings, meter, seconds)
        say(table([("per node", "bytes/s", "CPU ms/s"), ("at rest", *rest), ("full states, computed", *_full(values))]))
        waits = sorted([await _update(rings) * 1000 for _ in range(_UPDATES)])
    say(
        f"  from a write until the last node has it, {_UPDATES} writes: median {statistics.median(waits):.1f} ms,"
        f" 99 % {waits[int(len(waits) * 0.99) - 1]:.1f} ms, worst {waits[-1]:.1f} ms"
    )


async def _spread(rings: Sequence[Ring], values: Sequence[tuple[str, bytes]]) -> float:
    began = time.perf_counter()
    for key, value in values:
        rings[0].put(key, value)
    expected = len(values)
    with trio.fail_after(120):
        while any(ring.statistics()["map"]["keys"].get("certificate") != expected for ring in rings):  # noqa: ASYNC110
            await trio.sleep(0.02)
    return time.perf_counter() - began


async def _at_rest(rings: Sequence[Ring], meter: Meter, seconds: int) -> tuple[str, str]:
    before = sum(map(_sent, rings)) + meter.octets
    with machine.measured({}) as cost:
        await trio.sleep(seconds)
    octets = sum(map(_sent, rings)) + meter.octets - before
    return f"{octets / len(rings) / cost.wall:.0f}", f"{1000 * cost.own / len(rings) / cost.wall:.2f}"


def _sent(ring: Ring) -> int:
    return int(ring.statistics()["traffic"]["bytes_out"])


def _full(values: Sequence[tuple[str, bytes]]) -> tuple[str, str]:
    """Each node begins an exchange per interval and answers one: it sends its state twice, and reads one twice."""
    copy = ReplicatedMap()
    for key, value in values:
        write(copy, key, value)
    began = time.process_time()
    state = encode_entries(everything(copy), BATCH)
    for part in state:
        copy.merge(parse_untrusted(part), 0.0)
    took = time.process_time() - began
    return f"{2 * sum(map(len, state)) / _PUSH_PULL:.0f}", f"{1000 * 2 * took / _PUSH_PULL:.2f}"


async def _update(rings: Sequence[Ring]) -> float:
    """Seconds from a write until the last node has it."""
    leader, *others = rings
    value, missing, all_there = random.randbytes(600), set(others), trio.Event()
    with ExitStack() as watches:
        for ring in others:
            watches.enter_context(ring.watch("certificate/update", _seen_by(ring, value, missing, all_there)))
        began = time.perf_counter()
        leader.put("certificate/update", value)
        with trio.fail_after(30):
            await all_there.wait()
        took = time.perf_counter() - began
    await trio.sleep(random.uniform(0, 0.4))  # to meet gossip at any moment between two rounds of it
    return took


def _seen_by(
    ring: Ring, value: bytes, missing: set[Ring], all_there: trio.Event
) -> Callable[[str, bytes | None], None]:
    def changed(_key: str, now: bytes | None) -> None:
        if now == value:
            missing.discard(ring)
            if not missing:
                all_there.set()

    return changed
