"""The command line of scripts/bench."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
import trio

from tests.bench.agents import bench_agents
from tests.bench.api import bench_api
from tests.bench.catalogue import bench_catalogue
from tests.bench.contenders import CONTENDERS
from tests.bench.failover import bench_failover
from tests.bench.fleet import bench_fleet
from tests.bench.issue import Plan, bench_issue
from tests.bench.parts import BenchFailed
from tests.bench.plugins import bench_plugins
from tests.bench.renewals import bench_renewals
from tests.bench.ring import bench_ring
from tests.bench.ui import bench_ui
from tests.parts.program import PartFailed


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure the server beside what it is compared with."
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=[
            "issue",
            "api",
            "ring",
            "failover",
            "renewals",
            "catalogue",
            "fleet",
            "plugins",
            "agents",
            "ui",
            "all",
        ],
        default="all",
    )
    parser.add_argument("--rounds", type=_count, help="default 3; failover: kills, default 50")
    parser.add_argument("--stops", type=_count, default=10, help="failover: graceful stops")
    parser.add_argument("--certificates", type=int, default=Plan().certificates, help="issue: for us and the bare loop")
    parser.add_argument("--fleet", type=_count, default=1000, help="fleet: certificates to replace")
    parser.add_argument("--agents", type=_count, default=50, help="agents: how many, each with a certificate")
    parser.add_argument("--peers", type=int, default=Plan().peers, help="issue: certificates for lego and certbot")
    parser.add_argument("--in-flight", type=int, default=Plan().in_flight, help="issue: orders at once")
    parser.add_argument(
        "--only", action="append", choices=list(CONTENDERS), help="issue: only these; may be given several times"
    )
    parser.add_argument("--seconds", type=int, default=10, help="api: how long each load lasts; ring: the rest")
    given = parser.parse_args(arguments)
    rounds = given.rounds or 3
    plan = Plan(
        rounds=rounds,
        certificates=given.certificates,
        peers=given.peers,
        in_flight=given.in_flight,
        contenders=tuple(given.only or CONTENDERS),
    )
    benches: dict[str, Callable[[], Awaitable[None]]] = {
        "issue": partial(bench_issue, plan),
        "api": partial(bench_api, rounds, given.seconds),
        "ring": partial(bench_ring, rounds=rounds, seconds=given.seconds),
        "failover": partial(bench_failover, rounds=given.rounds or 50, stops=given.stops),
        "plugins": partial(bench_plugins, rounds),
        "renewals": partial(bench_renewals, 100_000, 20),
        "catalogue": partial(bench_catalogue, 50_000, 5),
        "fleet": partial(bench_fleet, given.fleet, rounds),
        "agents": partial(bench_agents, given.agents, 10),
        "ui": partial(bench_ui, rounds),
    }
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        for what, bench in benches.items():
            if given.what in {what, "all"}:
                trio.run(bench)
    except (BenchFailed, PartFailed) as error:
        sys.stderr.write(f"scripts/bench: {error}\n")
        return 1
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
