"""What the shared map costs: bytes of a sync by how much differs, time of a full load, memory per entry."""

from __future__ import annotations

import gc
import time
import tracemalloc

from acme_manager.ring.store import ReplicatedMap
from acme_manager.ring.sync import summary
from acme_manager.ring.sync_messages import encode
from tests.bench.figures import say, table
from tests.parts.copies import assert_equal, everything, filled, sync, write


def bench_map() -> None:
    """Print the figures. Bytes are those of message bodies, before compression, encryption and TCP."""
    rows: list[tuple[str, ...]] = [("what", "entries", "requests", "KB moved", "largest KB", "ms")]
    rows += [_digests(count) for count in (0, 1000, 20_000)]
    rows += [_difference(20_000, 0), _difference(20_000, 10), _difference(20_000, 1000)]
    rows += [_full_load(10_000), _full_load(20_000)]
    say(table(rows))
    say(f"memory: {_memory(20_000):.0f} bytes per certificate of 600 bytes")


def _digests(count: int) -> tuple[str, ...]:
    copy = filled(count)
    started = time.perf_counter()
    body = encode(summary(copy))
    return "summary of an idle node", str(count), "0", f"{len(body) / 1000:.3f}", "", _since(started)


def _difference(count: int, changed: int) -> tuple[str, ...]:
    one, other = filled(count), ReplicatedMap()
    other.merge(everything(one), 0.0)
    for entry in everything(one)[:: count // changed if changed else count + 1][:changed]:
        write(one, entry.key, b"n" * 600, term=2)
    return _measured(f"sync, {changed} differ", one, other)


def _full_load(count: int) -> tuple[str, ...]:
    return _measured("sync of an empty node", ReplicatedMap(), filled(count))


def _measured(what: str, one: ReplicatedMap, other: ReplicatedMap) -> tuple[str, ...]:
    started = time.perf_counter()
    traffic = sync(one, other)
    took = _since(started)
    assert_equal(one, other)
    return what, str(len(one)), str(traffic.requests), _kilo(traffic.moved), _kilo(traffic.largest), took


def _memory(count: int) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        copy = filled(count)
        return tracemalloc.get_traced_memory()[0] / len(copy)
    finally:
        tracemalloc.stop()


def _since(started: float) -> str:
    return f"{(time.perf_counter() - started) * 1000:.1f}"


def _kilo(size: int) -> str:
    return f"{size / 1000:.1f}"


if __name__ == "__main__":
    bench_map()
