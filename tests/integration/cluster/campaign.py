"""A campaign: three real nodes on hosts of their own, clients that write all the time, faults from a seeded plan.

python -m tests.integration.cluster.campaign --seconds 600 --seed 7
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import attrs
import trio

from acme_manager.structure import background
from tests.integration.cluster.clients import (
    OWNER,
    Reader,
    Writer,
    certificates_shown_by,
    state_in,
    token_of,
    tokens_shown_by,
)
from tests.integration.cluster.history import History, Write, check
from tests.integration.cluster.nemesis import Nemesis, plan
from tests.integration.cluster.observers import OrderBook
from tests.parts.cluster import Cluster, open_cluster
from tests.parts.hosts import open_hosts, why_no_hosts
from tests.parts.openbao import CERTIFICATES, ENGINE, TOKENS, OpenBao
from tests.parts.program import PartFailed

_WRITERS = 4  # Pebble takes that many orders at once without locking itself up
_FORMED = 60.0  # seconds until all nodes are voters again
_EQUAL = 30.0  # and then, until all copies are equal: docs/leadership.md, "How we know"
_RECONCILE = "-check-renewal-interval=10s"  # what a leader wrote as it lost its lease is found by then
_ORDERS = f"{CERTIFICATES}/.acme-manager/orders"


@attrs.frozen(kw_only=True)
class Report:
    """What came of it. `complaints` is empty when all is well."""

    faults: int
    writes: Sequence[Write]
    reads: int
    orders: int
    complaints: Sequence[str]

    def __str__(self) -> str:
        outcomes = Counter(write.outcome for write in self.writes)
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        done = f"{self.faults} faults; {len(self.writes)} writes: {told}; {self.orders} orders; {self.reads} reads"
        return "\n".join([done, *self.complaints]) if self.complaints else f"{done}; nothing to complain of"


async def run(folder: Path, seconds: float, seed: int, say: Callable[[str], None]) -> Report:
    """Run one. Raises PartFailed when something around the nodes does not work, or a node ends by itself."""
    rng = random.Random(seed)
    steps = plan(rng, seconds, nodes=3)
    async with (
        open_hosts(folder, ["n1", "n2", "n3"]) as network,
        open_cluster(folder, network=network, flags=(_RECONCILE,)) as cluster,
    ):
        book = OrderBook(cluster.to_ca, cluster.to_bao)
        writers = [Writer(f"w{number}", cluster.nodes, random.Random(rng.random())) for number in range(_WRITERS)]
        readers = [Reader(node) for node in cluster.nodes]
        async with background(*(reader.run for reader in readers)):
            async with background(*(writer.run for writer in writers)):
                await Nemesis(cluster, network, readers, say).run(steps)
                await trio.sleep(3)
            say("calm")
            complaints = [f"after {_FORMED:g} s of calm not all nodes vote, or there are orders in flight"]
            with trio.move_on_after(_FORMED):
                await cluster.wait_until_formed(within=_FORMED)
                for node in cluster.nodes:
                    await node.answering()
                while await cluster.bao.keys(_ORDERS):  # noqa: ASYNC110 another process
                    await trio.sleep(0.2)
                with trio.move_on_after(_EQUAL):
                    while complaints:
                        complaints = check(await _history(cluster, writers, readers, book))
        return Report(
            faults=len(steps),
            writes=[write for writer in writers for write in writer.writes],
            reads=sum(reader.answered for reader in readers),
            orders=len(book.orders),
            complaints=complaints,
        )


async def _history(cluster: Cluster, writers: Sequence[Writer], readers: Sequence[Reader], book: OrderBook) -> History:
    return History(
        writes=[write for writer in writers for write in writer.writes],
        shown={
            node.name: {**await certificates_shown_by(node), **await tokens_shown_by(node)} for node in cluster.nodes
        },
        stored=await _stored(cluster.bao),
        orders=book.orders,
        reads_refused=[one for reader in readers for one in reader.refused],
    )


async def _stored(bao: OpenBao) -> dict[str, list[str | None]]:
    stored: dict[str, list[str | None]] = {}
    folder = f"{CERTIFICATES}/{OWNER}/pebble"
    for domain in await bao.keys(folder):
        stored[domain] = await _versions(bao, f"{folder}/{domain}")
    for user in await bao.keys(TOKENS):
        if user != f"{OWNER}/":
            stored[token_of(user.rstrip("/"))] = ["there" for _ in await bao.keys(f"{TOKENS}/{user}")]
    return stored


async def _versions(bao: OpenBao, key: str) -> list[str | None]:
    kept = (await bao.api("GET", f"{ENGINE}/metadata/{key}"))["data"]["versions"]
    states: list[str | None] = []
    for number, version in sorted(kept.items(), key=lambda one: int(one[0])):
        if version["destroyed"] or version["deletion_time"]:
            states.append(None)
        else:
            answer = await bao.api("GET", f"{ENGINE}/data/{key}?version={number}")
            states.append(state_in(answer["data"]["data"]))
    return states


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 1 when there is something to complain of, 2 when there can't be a campaign."""
    parser = argparse.ArgumentParser(prog="scripts/campaign", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="how long to do harm")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same faults in the same order")
    given = parser.parse_args(arguments)
    if why := why_no_hosts():
        _say(why)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="acme-manager-campaign-"))
    try:
        report = trio.run(partial(run, folder, given.seconds, given.seed, _say))
    except PartFailed as error:
        _say(f"{error}\nlogs are in {folder}")
        return 2
    _say(str(report))
    if report.complaints:
        _say(f"logs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")  # noqa: TID251 beside the nodes' logs
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
