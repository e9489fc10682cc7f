"""`scripts/bench issue`: certificates per second and CPU per certificate, ours beside others', several times over."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import trio

from acme_manager.structure import lone_error
from tests.bench import machine
from tests.bench.contenders import BARE, CERTBOT, CONTENDERS, LEGO, OURS, Contender, Run
from tests.bench.figures import ratio, say, spread, table
from tests.bench.parts import BenchFailed, Wedged, open_parts, still_issues

ATTEMPTS = 4
_AIM_PEERS, _AIM_BARE, _AIM_CPU = 20.0, 0.6, 20.0


@attrs.frozen(kw_only=True)
class Plan:
    """What to do. `peers` is the number of certificates for lego and certbot, which are slow."""

    rounds: int = 3
    certificates: int = 100
    peers: int = 24
    in_flight: int = 8
    contenders: tuple[str, ...] = tuple(CONTENDERS)

    def count(self, who: str) -> int:
        """How many certificates a contender gets."""
        return self.peers if who in {LEGO, CERTBOT} else self.certificates

    def limit(self, who: str) -> float:
        """Seconds after which a run is looked into: several times what the slowest seen took."""
        return 30 + self.count(who) * (3.0 if who in {LEGO, CERTBOT} else 0.3)


async def bench_issue(plan: Plan) -> None:
    """Run all contenders in turn, `rounds` times, each time beginning with another; print what came of it."""
    say(f"issue: {plan.certificates} EC P-256 certificates by dns-01 against Pebble, {plan.in_flight} in flight")
    for what, value in machine.description().items():
        say(f"  {what}: {value}")
    say(f"  load average before: {machine.load()}")
    runs: dict[str, list[Run]] = {who: [] for who in plan.contenders}
    wedged: list[str] = []
    for number in range(plan.rounds):
        first = number % len(plan.contenders)
        for who in (*plan.contenders[first:], *plan.contenders[:first]):
            run = await _patiently(who, plan, wedged)
            runs[who].append(run)
            say(
                f"  round {number + 1}  {who:<12} {run.certificates:4} in {run.cost.wall:6.2f} s = {run.rate:6.1f}/s,"
                f" {run.cpu_ms:6.1f} ms CPU each; others used {run.cost.others / run.cost.wall:.2f} CPUs"
            )
    say(f"  load average after: {machine.load()}")
    if wedged:
        say(f"  Pebble locked itself up in {len(wedged)} runs, which were repeated with a new one: {', '.join(wedged)}")
    _report(runs)


async def _patiently(who: str, plan: Plan, wedged: list[str]) -> Run:
    for _ in range(ATTEMPTS):
        try:
            return await _one_run(CONTENDERS[who], plan.count(who), plan.in_flight, plan.limit(who))
        except Wedged:
            wedged.append(who)
    raise BenchFailed(f"Pebble locked itself up {ATTEMPTS} times in a row under {who}")


async def _one_run(contender: Contender, count: int, in_flight: int, limit: float) -> Run:
    """One run with new parts. Raises Wedged if it came to no end because Pebble no longer answers."""
    with tempfile.TemporaryDirectory(prefix="acme-manager-bench-") as folder:
        async with open_parts(Path(folder)) as parts:
            failure: Exception
            try:
                with lone_error(), trio.fail_after(limit):
                    return await contender(Path(folder), parts, count, in_flight)
            except trio.TooSlowError:
                failure = BenchFailed(f"no end after {limit:.0f} s, and Pebble is well")
            except BenchFailed as error:
                failure = error
            if await still_issues(parts):
                raise failure
            raise Wedged from failure


def _report(runs: Mapping[str, Sequence[Run]]) -> None:
    rows = [["", "certificates/s", "CPU ms each", *_PARTS, "others' CPUs"]]
    for who, its in runs.items():
        rows.append(
            [
                who,
                spread([run.rate for run in its]),
                spread([run.cpu_ms for run in its]),
                *(spread([1000 * run.cost.parts.get(part, 0.0) / run.certificates for run in its]) for part in _PARTS),
                spread([run.cost.others / run.cost.wall for run in its], 2),
            ]
        )
    say("\nmedian (least - most); the CPU of Pebble, BIND and OpenBao is in ms per certificate, too")
    say(table(rows))
    if OURS not in runs:
        return
    rate = {who: [run.rate for run in its] for who, its in runs.items()}
    say("")
    for who in (LEGO, CERTBOT):
        if who in runs:
            say(f"ours / {who}: {ratio(rate[OURS], rate[who])} x (aim: {_AIM_PEERS:.0f})")
    if BARE in runs:
        say(f"ours / bare loop: {ratio(rate[OURS], rate[BARE], 2)} (aim: {_AIM_BARE})")
    say(f"CPU of our server per certificate: {spread([run.cpu_ms for run in runs[OURS]])} ms (aim: {_AIM_CPU:.0f})")


_PARTS = ("Pebble", "BIND", "OpenBao")
