"""The command line of scripts/dev-cluster."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog
import trio

from acme_manager.structure import lone_error
from tests.bench.figures import say
from tests.dev_cluster.looks import describe, look_at_all
from tests.parts.cluster import Cluster, open_cluster
from tests.parts.node import API_KEY, Node
from tests.parts.program import PartFailed

_EVERY = 0.5  # seconds between two looks
_MOST = 9

_WELCOME = """\
{leader} leads. Logs and settings of everything: {folder}

TOKEN={token}
API_KEY={key!r}

a certificate, by way of {one}{which}:
  curl -sS -H "Authorization: Bearer $TOKEN" {one_url}/api/v1/certificate \\
    -d '{{"domain":"www.example.test","issuer":"pebble"}}'
and read from {other}:
  curl -sS -H "Authorization: Bearer $TOKEN" {other_url}/api/v1/certificate/pebble/www.example.test

Kill a node by hand: kill -9 PID; suspend it: kill -STOP PID, and kill -CONT PID.
Vault (OpenBao) sealed, and unsealed:
  curl -sS -X PUT -H X-Vault-Token:{root} {bao}/v1/sys/seal
  curl -sS -X PUT {bao}/v1/sys/unseal -d '{{"key":"{unseal}"}}'
{restart}Ctrl-C ends everything.
"""
_RESTART = "A node that has ended stays so until you type its number and Enter.\n"


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/dev-cluster", description="A cluster on loopback to try things on.")
    parser.add_argument("count", nargs="?", type=int, default=3, metavar="N", help=f"nodes, 1 to {_MOST}; default 3")
    count = parser.parse_args(arguments).count
    if not 1 <= count <= _MOST:
        parser.error(f"N must be 1 to {_MOST}, not {count}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        trio.run(run_until_signal, count)
    except PartFailed as error:
        sys.stderr.write(f"scripts/dev-cluster: {error}\n")
        return 1
    return 0


async def run_until_signal(count: int) -> None:
    """Run a cluster until SIGINT, SIGTERM or SIGHUP comes."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals, lone_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_run, count, nursery.cancel_scope)
            async for _ in signals:
                nursery.cancel_scope.cancel(reason="a signal has come")
                break


async def _run(count: int, all_of_it: trio.CancelScope) -> None:
    say(f"starting {count} nodes, OpenBao, Pebble and BIND …")
    with tempfile.TemporaryDirectory(prefix="dev-cluster-") as name:
        async with open_cluster(Path(name), count=count) as cluster:
            say(_welcome(cluster, await cluster.wait_for_leader(), name))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_tell_changes, cluster.nodes)
                if sys.stdin.isatty():
                    nursery.start_soon(_restart_on_demand, cluster.nodes)
    all_of_it.cancel(reason="the cluster is gone")


def _welcome(cluster: Cluster, leader: Node, folder: str) -> str:
    others = cluster.others(leader) or [leader]
    one, other = others[0], others[-1] if len(others) > 1 else leader
    return _WELCOME.format(
        leader=leader.name,
        folder=folder,
        token=leader.token,
        key=API_KEY,
        one=one.name,
        which="" if one is leader else ", which does not lead",
        one_url=one.url,
        other=other.name,
        other_url=other.url,
        bao=cluster.bao.url,
        root=cluster.bao.root_token,
        unseal=cluster.bao.unseal_key,
        restart=_RESTART if sys.stdin.isatty() else "",
    )


async def _tell_changes(nodes: Sequence[Node]) -> None:
    shown, began = "", trio.current_time()
    while True:
        found = describe(await look_at_all(nodes))
        if found != shown:
            say(f"after {trio.current_time() - began:.1f} s\n{found}\n")
            shown = found
        await trio.sleep(_EVERY)


async def _restart_on_demand(nodes: Sequence[Node]) -> None:
    async with trio.open_nursery() as nursery:
        while typed := await _typed():  # nothing: the terminal is gone, or Ctrl-D
            for word in typed.split():
                nursery.start_soon(_restart, nodes, word)


async def _typed() -> str:
    await trio.lowlevel.wait_readable(sys.stdin)
    return os.read(sys.stdin.fileno(), 1024).decode(errors="replace")  # a terminal gives a line at a time


async def _restart(nodes: Sequence[Node], word: str) -> None:
    node = next((one for number, one in enumerate(nodes, 1) if word in {str(number), one.name}), None)
    if node is None:
        say(f"there is no node {word!r}, only 1 to {len(nodes)}")
    elif node.program.alive:
        say(f"{node.name} runs already; kill -9 {node.program.pid} ends it")
    else:
        say(f"starting {node.name}")
        try:
            await node.start(ready=False)
        except PartFailed as error:
            say(str(error))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
