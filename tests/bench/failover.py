"""`scripts/bench failover`: how long a cluster takes no writes when its leader is killed, and when it stops."""

from __future__ import annotations

import random
import signal
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import httpx
import trio

from acme_manager.ring.config import RingConfig
from acme_manager.structure import background
from tests.bench import machine
from tests.bench.failover_steps import Recorder, Steps, steps_table
from tests.bench.figures import say, spread, table
from tests.bench.parts import BenchFailed
from tests.integration.cluster.asking import written_with_one_retry
from tests.parts.cluster import Cluster, open_cluster
from tests.parts.node import AS_ADMINISTRATOR, Node

_LEASE = RingConfig().lease
_WHOLE = 60.0  # seconds until all three are voters again
_WRITTEN = 30.0  # until a write succeeds
_ENDED = 20.0  # until a node has ended by itself; then it is killed
_PAUSE = 0.02  # between two attempts to write
_CLIENTS = 4
_CLIENT_PAUSE = 0.05
_NO_ANSWER = 0  # in place of a status code
_AROUND = 1.0  # for which clients ask before a stop and after it
_EVERY = 10  # rounds between two lines about how it goes
_BODY = {"username": "bench", "scope": ["read"]}


@attrs.frozen(kw_only=True)
class Stop:
    """One graceful stop. Times are seconds since SIGTERM."""

    written: float  # until another node has answered a write
    ended: float  # until the process was gone
    codes: Sequence[int]  # that clients got, from a second node where the first one failed
    slowest: float  # seconds from a client's request to its answer, the second attempt included


async def bench_failover(*, rounds: int, stops: int) -> None:
    """Kill the leader `rounds` times, stop it `stops` times, and print the figures. Raises BenchFailed."""
    say(f"failover: three nodes, one OpenBao; the leader is killed {rounds} times and stopped {stops} times")
    for what, value in machine.description().items():
        say(f"  {what}: {value}")
    say(f"  load average before: {machine.load()}")
    rng = random.Random()
    with tempfile.TemporaryDirectory(prefix="acme-manager-bench-") as name:
        async with open_cluster(Path(name)) as cluster:
            recorder = Recorder(cluster)
            kills = []
            for number in range(1, rounds + 1):
                kills.append(await _kill(cluster, recorder, rng))
                if number % _EVERY == 0:
                    say(f"  killed {number} times, load average {machine.load()}")
            ends = [await _stop(cluster, rng) for _ in range(stops)]
    _say_kills(kills)
    _say_stops(ends)
    say(f"  load average after: {machine.load()}")


async def _kill(cluster: Cluster, recorder: Recorder, rng: random.Random) -> Steps:
    leader = await _whole(cluster, rng)
    asked = rng.choice(cluster.others(leader))
    async with _client(asked) as client:
        recorder.begin(leader)
        leader.program.kill()
        attempts = await _until_written(client)
        steps = recorder.end(asked, attempts)
    await cluster.start(leader, ready=False)
    return steps


async def _stop(cluster: Cluster, rng: random.Random) -> Stop:
    leader = await _whole(cluster, rng)
    answers: list[tuple[int, float]] = []
    times: dict[str, float] = {}

    async def end() -> None:
        await leader.program.stop(signal.SIGTERM, within=_ENDED)
        times["ended"] = trio.current_time() - began

    async with background(*(partial(_keep_asking, cluster.nodes, answers, rng) for _ in range(_CLIENTS))):
        await trio.sleep(_AROUND)
        async with _client(rng.choice(cluster.others(leader))) as client, trio.open_nursery() as nursery:
            began = trio.current_time()
            nursery.start_soon(end)
            await trio.lowlevel.checkpoint()  # SIGTERM is sent first
            await _until_written(client)
            times["written"] = trio.current_time() - began
        await trio.sleep(_AROUND)
    if leader.program.returncode != 0:
        raise BenchFailed(f"a node ended with {leader.program.returncode}:\n{leader.program.log()[-3000:]}")
    await cluster.start(leader, ready=False)
    codes = [code for code, _ in answers]
    return Stop(**times, codes=codes, slowest=max(took for _, took in answers))


async def _whole(cluster: Cluster, rng: random.Random) -> Node:
    """Wait until all are voters that may vote, then for any moment between two renewals; returns the leader."""
    with _within(_WHOLE, "the three nodes are not one cluster again"):
        await _formed(cluster)
        await trio.sleep(_LEASE + rng.random() * _LEASE / 3)  # who has just started grants nothing for a lease
        return await _formed(cluster)


async def _formed(cluster: Cluster) -> Node:
    while True:
        with suppress(httpx.HTTPError, trio.TooSlowError):  # a busy machine's nodes may be slow to say it
            return await cluster.wait_until_formed()
        await trio.sleep(_PAUSE)


async def _until_written(client: httpx.AsyncClient) -> int:
    """Ask for a token until there is one; returns how many times that took."""
    attempts = 0
    with _within(_WRITTEN, "no write succeeded"):
        while True:
            attempts += 1
            try:
                answer = await client.post("/api/v1/token", json=_BODY)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.is_success:
                return attempts
            await trio.sleep(_PAUSE)


async def _keep_asking(nodes: Sequence[Node], answers: list[tuple[int, float]], rng: random.Random) -> None:
    while True:
        began = trio.current_time()
        try:
            code = (await written_with_one_retry(rng.sample(nodes, len(nodes)))).status_code
        except httpx.TransportError:
            code = _NO_ANSWER
        answers.append((code, trio.current_time() - began))
        await trio.sleep(_CLIENT_PAUSE)


def _client(node: Node) -> httpx.AsyncClient:
    return node.anonymous(**AS_ADMINISTRATOR)


@contextmanager
def _within(seconds: float, otherwise: str) -> Iterator[None]:
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError as error:
        raise BenchFailed(f"{otherwise} after {seconds:g} s") from error


def _say_kills(kills: Sequence[Steps]) -> None:
    waits = [one.answered for one in kills]
    say(f"\nkill -9 of the leader, {len(kills)} rounds: seconds until a write through another node succeeds")
    say(
        f"  {spread(waits, 2)}; aims: median below 4 ({_met(statistics.median(waits) < 4)}), worst below 10 "
        f"({_met(max(waits) < 10)})"
    )
    say(steps_table(kills))
    say(
        f"  the first request sent after it was answered in {sum(one.attempts == 1 for one in kills)} rounds;"
        f" more than one candidacy in {sum(one.candidacies > 1 for one in kills)}"
    )


def _say_stops(stops: Sequence[Stop]) -> None:
    codes = [code for one in stops for code in one.codes]
    failed = sum(code != httpx.codes.CREATED for code in codes)
    ended = [one.ended for one in stops]
    say(f"\nSIGTERM to the leader, {len(stops)} rounds, {_CLIENTS} clients that try once more at another node")
    say(
        table(
            [
                ("", "seconds", "aim"),
                ("a write through another node", spread([one.written for one in stops], 2), ""),
                ("the process has ended", spread(ended, 2), f"below 1 ({_met(max(ended) < 1)})"),
                ("slowest request of a client", spread([one.slowest for one in stops], 2), ""),
            ]
        )
    )
    say(f"  {failed} of {len(codes)} requests failed; aim: none ({_met(not failed)})")


def _met(reached: bool) -> str:
    return "reached" if reached else "MISSED"
