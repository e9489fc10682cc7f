"""How long a node takes until it is ready: from storage alone, and from peers that have everything; and its memory."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import trio

from acme_manager.storage.keys import fence_key
from tests.bench.figures import say, spread, table
from tests.bench.machine import cpu_of
from tests.parts.cluster import ring_flags
from tests.parts.node import Node, new_node
from tests.parts.openbao import CERTIFICATES, ENGINE, OpenBao, openbao
from tests.parts.place import Place
from tests.parts.program import lasting_ports
from tests.parts.stock import fill

_ISSUER = {"letsencrypt": {"ca_dir_url": "http://127.0.0.1:9/dir"}}  # nobody is there: this is about the rest
_PATIENCE = 120.0
_LOOK = 0.05  # seconds between two looks: each has the node look at storage


async def bench_start(certificates: int, rounds: int) -> None:
    """Print the figures."""
    say(f"ring, start with {certificates} certificates in OpenBao, {rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="acme-manager-bench-") as name:
        async with openbao(Path(name)) as bao:
            began = time.perf_counter()
            await fill(bao, certificates)
            say(f"  storage was filled in {time.perf_counter() - began:.1f} s")
            rows: list[tuple[str, ...]] = [("", "ready after s", "CPU s", "RSS MB", "peak MB")]
            seen = [await _one_round(Path(name), bao) for _ in range(rounds)]
            for number, who in enumerate(("an empty cluster's first node", "second node", "third, peers have all")):
                figures = [one[number] for one in seen]
                rows.append((who, *(spread([one[column] for one in figures], 2) for column in range(4))))
            say(table(rows))


async def _one_round(folder: Path, bao: OpenBao) -> list[tuple[float, float, float, float]]:
    places = [Place(f"n{number}", f"127.0.0.{number}") for number in (1, 2, 3)]
    api_port, ring_port = lasting_ports(2)
    nodes = []
    for place in places:
        with place.here():
            flags = ring_flags(place, ring_port, [one for one in places if one is not place])
            nodes.append(new_node(folder, bao=bao, issuers=_ISSUER, flags=flags, port=api_port, name=place.name))
    try:
        times = []
        for node in nodes:
            began = time.perf_counter()
            node.program.start()
            with trio.fail_after(_PATIENCE):
                await _ready(node)
            times.append((time.perf_counter() - began, cpu_of(node.program.pid)))
        await trio.sleep(2)
        return [(*found, *memory_of(node.program.pid)) for found, node in zip(times, nodes, strict=True)]
    finally:
        for node in nodes:
            node.program.kill()
        with trio.move_on_after(5, shield=True):  # or the next first node had no majority
            await bao.api("DELETE", f"{ENGINE}/metadata/{fence_key(CERTIFICATES)}")


async def _ready(node: Node) -> None:
    async with node.anonymous() as client:  # one for all looks: making one takes longer than a look

        async def answers() -> None:
            answer = await client.get("/ready", timeout=5)
            if not answer.is_success:
                await trio.sleep(_LOOK)
                raise ConnectionError(answer.text)

        await node.program.ready(answers, within=_PATIENCE)


def memory_of(pid: int) -> tuple[float, float]:
    """MB of a process that are in memory now, and at most so far (proc(5), VmRSS and VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = {
        what: int(kilobytes) for what, kilobytes in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE)
    }
    return found["VmRSS"] / 1024, found["VmHWM"] / 1024
