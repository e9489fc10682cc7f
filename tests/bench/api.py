"""`scripts/bench api`: how many reads of a certificate the API answers, beside a handler that does nothing."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx
import trio

from tests.bench import machine
from tests.bench.figures import ratio, say, spread, table
from tests.bench.parts import CHECKOUT, ZONE, csr_text, open_parts
from tests.bench.wrk import Load, load
from tests.parts.node import Node, node
from tests.parts.openbao import openbao
from tests.parts.program import LOOPBACK, Program, free_port, new_folder, on_free_ports

_CONNECTIONS = (1, 16)
_WARM = 1  # seconds
_AIM = 0.8
_NAME = f"www.{ZONE}"
_PATH = f"/api/v1/certificate/pebble/{_NAME}"
EMPTY, OURS = "empty handler", "GET certificate"

Seen = dict[tuple[str, int], list[tuple[Load, float]]]
"""By target and connections: each round's load, and the server's CPU microseconds per request."""


@attrs.frozen(kw_only=True)
class Target:
    """What is loaded. `size` is that of a whole answer."""

    url: str
    program: Program
    size: int
    token: str = attrs.field(default="", repr=False)


async def bench_api(rounds: int, seconds: int) -> None:
    """Load both in turns and print what came of it."""
    say(f"api: GET certificate from a warm cache beside an empty Quart-Trio handler, wrk for {seconds} s each")
    for what, value in machine.description().items():
        say(f"  {what}: {value}")
    say(f"  load average before: {machine.load()}")
    with tempfile.TemporaryDirectory(prefix="acme-manager-bench-") as name:
        async with _ours(Path(name)) as ours, _empty(Path(name)) as empty:
            targets = {EMPTY: empty, OURS: ours}
            for target in targets.values():
                await _load(target, connections=1, seconds=_WARM)
            seen = await _rounds(targets, rounds, seconds)
    say(f"  load average after: {machine.load()}")
    _report(seen)


@asynccontextmanager
async def _ours(folder: Path) -> AsyncIterator[Target]:
    """Our server with one certificate; the CA and the DNS server have ended, so that they take no CPU."""
    async with openbao(folder) as bao, open_parts(folder) as parts:
        issuer = {
            "ca_dir_url": parts.ca.directory,
            "ca_bundle": str(parts.ca.ca_pem),
            "dns_challenge": "rfc2136",
        }
        environ = {"ACME_MANAGER_DNS_AUTHORITATIVE_PORT": str(parts.dns.port)}
        async with node(folder, bao=bao, issuers={"pebble": issuer}, dns=parts.dns, environ=environ) as server:
            size = await _prepare(server)
            await parts.ca.stop()
            await parts.dns.stop()
            yield Target(url=server.url + _PATH, program=server.program, size=size, token=server.token)


async def _prepare(server: Node) -> int:
    """Issue the certificate; the size of the answer that has it."""
    async with server.client() as client:
        wish = {"issuer": "pebble", "domain": _NAME, "csr": csr_text(_NAME)}
        made = (await client.post("/api/v1/certificate", json=wish)).raise_for_status()
        read = (await client.get(_PATH)).raise_for_status()
        assert read.json() == made.json()
    return await _size(server.url + _PATH, server.token)


async def _size(url: str, token: str = "") -> int:
    """Bytes of a whole answer, its head included, as they come over a kept connection."""
    target = httpx.URL(url)
    lines = [f"GET {target.path} HTTP/1.1", f"Host: {target.host}:{target.port}", f"Authorization: Bearer {token}"]
    answer = b""
    with trio.fail_after(5):
        async with await trio.open_tcp_stream(target.host, target.port or 80) as stream:
            await stream.send_all("\r\n".join([*lines, "", ""]).encode())
            async for part in stream:
                answer += part
                head, end, body = answer.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: ([0-9]+)", head)
                if end and length and len(body) == int(length[1]):
                    assert head.startswith(b"HTTP/1.1 200 "), head
                    return len(answer)
    raise ConnectionError(f"{url} closed the connection in the middle of an answer")


@asynccontextmanager
async def _empty(folder: Path) -> AsyncIterator[Target]:
    async def attempt() -> Target:
        address = f"{LOOPBACK}:{free_port()}"
        program = Program(
            argv=(sys.executable, "-m", "tests.bench.empty", address),
            folder=new_folder(folder, "empty"),
            package="quart-trio",
            env={"PYTHONPATH": str(CHECKOUT)},
        )
        program.start()
        url = f"http://{address}/"

        async def size() -> None:
            await _size(url)

        await program.ready(size)
        return Target(url=url, program=program, size=await _size(url))

    target = await on_free_ports(attempt)
    try:
        yield target
    finally:
        target.program.kill()


async def _load(target: Target, *, connections: int, seconds: int) -> Load:
    return await load(target.url, connections=connections, seconds=seconds, token=target.token, size=target.size)


async def _rounds(targets: dict[str, Target], rounds: int, seconds: int) -> Seen:
    seen: Seen = {(who, many): [] for many in _CONNECTIONS for who in targets}
    for number in range(rounds):
        for many in _CONNECTIONS:
            for who in list(targets) if number % 2 == 0 else list(targets)[::-1]:
                with machine.measured({who: targets[who].program.pid}) as cost:
                    one = await _load(targets[who], connections=many, seconds=seconds)
                micros = 1e6 * cost.parts[who] / one.requests
                seen[who, many].append((one, micros))
                say(
                    f"  round {number + 1}  {who:<15} c={many:<2} {one.rate:7.0f}/s, p50 {one.p50:.2f} ms, "
                    f"p99 {one.p99:.2f} ms, {micros:.0f} us CPU each; "
                    f"others used {cost.others / cost.wall:.2f} CPUs"
                )
    return seen


def _report(seen: Seen) -> None:
    rows = [["", "connections", "requests/s", "p50 ms", "p99 ms", "CPU us each"]]
    for (who, many), its in seen.items():
        rows.append(
            [
                who,
                str(many),
                spread([one.rate for one, _ in its], 0),
                spread([one.p50 for one, _ in its], 2),
                spread([one.p99 for one, _ in its], 2),
                spread([micros for _, micros in its], 0),
            ]
        )
    say("\nmedian (least - most)")
    say(table(rows) + "\n")
    for many in _CONNECTIONS:
        ours, empty = ([one.rate for one, _ in seen[who, many]] for who in (OURS, EMPTY))
        say(f"{OURS} / {EMPTY} with {many}: {ratio(ours, empty, 2)} (aim: {_AIM})")
        ours, empty = ([micros for _, micros in seen[who, many]] for who in (OURS, EMPTY))
        say(f"  and by CPU alone, which other work on the machine disturbs less: {ratio(empty, ours, 2)}")
