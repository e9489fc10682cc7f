"""`scripts/bench ring`: how the ring behaves as it grows, and what twenty thousand certificates cost it at rest."""

from __future__ import annotations

from tests.bench import machine
from tests.bench.figures import say, table
from tests.bench.ring_rest import bench_rest
from tests.bench.ring_start import bench_start
from tests.bench.shared_map import bench_map
from tests.simulation.membership.figures import Figures, measure

_SIZES = (5, 10, 30, 100, 300, 1000)
_NODES = 5


async def bench_ring(*, rounds: int, seconds: int, resting: int = 20_000, starting: int = 10_000) -> None:
    """Print all of it. `resting` certificates are held at rest for `seconds`, `starting` are started with."""
    say("ring: simulated members; the shared map; five nodes at rest; nodes that start")
    for what, value in machine.description().items():
        say(f"  {what}: {value}")
    say(f"  load average before: {machine.load()}\n")
    _simulate()
    say("")
    bench_map()
    say("")
    await bench_rest(_NODES, resting, seconds)
    say("")
    await bench_start(starting, rounds)
    say(f"\n  load average after: {machine.load()}")


def _simulate() -> None:
    say("simulated members with memberlist's defaults for a LAN, 1 ms between two of them; the formulas beside")
    rows: list[tuple[str, ...]] = [
        ("members", "all told s", "formula", "suspected s", "dead everywhere s", "suspicion", "packets/s", "bytes/s")
    ]
    say(table([*rows, *(_row(measure(size)) for size in _SIZES)]))


def _row(found: Figures) -> tuple[str, ...]:
    return (
        str(found.members),
        _seconds(found.told_all),
        _seconds(found.told_all_formula),
        _seconds(found.suspected),
        _seconds(found.dead_everywhere),
        "{:.1f} - {:.1f}".format(*found.dead_formula),
        f"{found.packets_per_second:.1f}",
        f"{found.bytes_per_second:.0f}",
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
