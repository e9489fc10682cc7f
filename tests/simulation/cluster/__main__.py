"""Run seeds of the cluster's simulation, or replay one. See scripts/simulate."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

from tests.simulation.cluster.run import Result, simulate
from tests.simulation.cluster.world import Broken

_TOLD_EVERY = 100


def main(arguments: Sequence[str]) -> int:
    """0: every invariant held. 1: one did not, and its seed has been printed."""
    options = _parse(arguments)
    seeds = range(options.start, options.start + options.seeds) if options.seed is None else [options.seed]
    if options.trace:
        return max(_replay(seed, nodes, expire=options.expire) for seed in seeds for nodes in options.nodes)
    began, broken, results = time.perf_counter(), 0, []
    for number, (seed, nodes) in enumerate(_runs(seeds, options.nodes), 1):
        try:
            results.append(simulate(seed, nodes=nodes, expire=options.expire))
        except Broken as error:
            broken += 1
            again = f"--seed {seed} --nodes {nodes} --trace" + " --expire" * options.expire
            _say(f"seed {seed}, {nodes} nodes: {error}\n  replay: scripts/simulate {again}")
        if number % _TOLD_EVERY == 0:
            speed = number / (time.perf_counter() - began)
            print(f"{number} runs, {broken} broken, {speed:.0f} runs/s", file=sys.stderr)  # noqa: T201
    _summarise(results, broken, time.perf_counter() - began)
    return min(broken, 1)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run (1000)")
    parser.add_argument("--from", type=int, default=0, dest="start", help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 5], help="sizes of the cluster (3 5)")
    parser.add_argument("--expire", action="store_true", help="let tombstones expire after seconds")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    return parser.parse_args(arguments)


def _runs(seeds: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    return ((seed, nodes) for seed in seeds for nodes in sizes)


def _replay(seed: int, nodes: int, *, expire: bool) -> int:
    lines: list[str] = []
    try:
        ending, status = str(simulate(seed, nodes=nodes, expire=expire, lines=lines)), 0
    except Broken as error:
        ending, status = f"BROKEN {error}", 1
    _say("\n".join([*lines, ending]))
    return status


def _summarise(results: Sequence[Result], broken: int, seconds: float) -> None:
    runs = len(results) + broken
    names = {"steps": "events", "terms": "terms", "acknowledged": "acknowledged changes", "orders": "orders"}
    sums = [f"{sum(getattr(result, name) for result in results)} {what}" for name, what in names.items()]
    again = sum(result.doubled_orders for result in results)
    _say(f"{runs} runs in {seconds:.1f} s ({runs / seconds:.0f}/s), {broken} broken: {', '.join(sums)} ({again} again)")


def _say(text: str) -> None:
    print(text)  # noqa: T201 - a command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
