"""`scripts/bench fleet`: how long it takes to replace a fleet whose CA wants all of it back.

Windows (RFC 9773) are moved into the past, an operation is begun at once, and the clock stops when the last certificate
is replaced. Pebble has no windows of its own; tests/parts/ari.py answers for it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio

from acme_manager.clock import SystemClock
from acme_manager.structure import lone_error
from tests.bench import machine
from tests.bench.figures import say, spread
from tests.bench.parts import BenchFailed, Wedged, names, open_parts, still_issues
from tests.parts.ari import Windows, ari_front
from tests.parts.node import AS_ADMINISTRATOR, Node, node
from tests.parts.openbao import openbao

_ATTEMPTS = 4
_AT_ONCE = 8  # orders
_SLOWEST = 1.0  # seconds for a certificate, on a busy machine
_LOOK = 0.25  # seconds between two looks
_OPERATIONS = "/api/v1/operations"
_FAILED = (trio.TooSlowError, BenchFailed, httpx.HTTPError)


@attrs.frozen(kw_only=True)
class Run:
    """Seconds from the start of the operation until the last replacement, and CPU seconds of our server meanwhile."""

    seconds: float
    noted: float  # until the operation says itself that it is done
    cpu: float


async def bench_fleet(certificates: int, rounds: int) -> None:
    """Print the time to the last replacement."""
    say(f"fleet: {certificates} certificates by dns-01 at Pebble, in OpenBao, one node; all windows move into the past")
    for what, value in machine.description().items():
        say(f"  {what}: {value}")
    runs: list[Run] = []
    for number in range(rounds):
        say(f"  load average before: {machine.load()}")
        run = await _patiently(certificates)
        runs.append(run)
        say(
            f"  round {number + 1}: the last of {certificates} was replaced after {run.seconds:.1f} s"
            f" ({certificates / run.seconds:.1f}/s), noted as done after {run.noted:.1f} s;"
            f" {run.cpu / certificates * 1000:.1f} ms CPU each"
        )
    say(f"\nmedian (least - most): {spread([run.seconds for run in runs])} s to the last replacement")


async def _patiently(certificates: int) -> Run:
    for _ in range(_ATTEMPTS):
        try:
            with tempfile.TemporaryDirectory(prefix="acme-manager-bench-") as folder:
                return await _one_run(Path(folder), certificates)
        except Wedged:
            say("  Pebble locked itself up; once more with a new one")
    raise BenchFailed(f"Pebble locked itself up {_ATTEMPTS} times in a row")


async def _one_run(folder: Path, certificates: int) -> Run:
    async with open_parts(folder) as parts, openbao(folder) as bao, ari_front(parts.ca.directory) as windows:
        issuer = {
            "ca_dir_url": windows.directory,
            "ca_bundle": str(parts.ca.ca_pem),
            "dns_challenge": "rfc2136",
            "overall_request_limit": 1000,  # the most there is: no brake
            "max_orders": _AT_ONCE,
        }
        async with node(folder, bao=bao, issuers={"pebble": issuer}, dns=parts.dns) as server:
            try:
                with lone_error():
                    return await _replace_all(server, windows, certificates)
            except _FAILED as error:
                failure = error
            if await still_issues(parts):
                raise BenchFailed(f"Pebble is well, and yet: {failure!r}") from failure
            raise Wedged from failure


async def _replace_all(server: Node, windows: Windows, certificates: int) -> Run:
    limit = 60 + certificates * _SLOWEST
    with trio.fail_after(limit):
        await _make(server, names("f", certificates))
        while len(windows.asked) < certificates:  # noqa: ASYNC110 it is told by nobody
            await trio.sleep(_LOOK)
    windows.move()
    began, at, cpu = trio.current_time(), SystemClock().now().timestamp(), machine.cpu_of(server.program.pid)
    async with server.anonymous(**AS_ADMINISTRATOR) as client:
        begun = await client.post(f"{_OPERATIONS}/replace", json={"ari": True})
        where = begun.raise_for_status().headers["Location"]
        with trio.fail_after(limit):
            shown: dict[str, Any] = {}
            while shown.get("state") != "done":
                await trio.sleep(_LOOK)
                shown = (await client.get(where)).raise_for_status().json()
    noted, cpu = trio.current_time() - began, machine.cpu_of(server.program.pid) - cpu
    async with server.client() as client:
        listed = (await client.get("/api/v1/certificate/metadata")).raise_for_status().json()
    counts = {one.get("renewal_count", 0) for one in listed}
    if len(listed) != certificates or counts != {1}:
        raise BenchFailed(f"of {len(listed)} certificates some were not replaced exactly once: {sorted(counts)}")
    return Run(seconds=max(one["issued_at"] for one in listed) / 1000 - at, noted=noted, cpu=cpu)


async def _make(server: Node, wanted: list[str]) -> None:
    limit = trio.CapacityLimiter(_AT_ONCE)

    async def one(client: httpx.AsyncClient, name: str) -> None:
        async with limit:
            answer = await client.post("/api/v1/certificate", json={"issuer": "pebble", "domain": name})
        if not answer.is_success:
            raise BenchFailed(f"no certificate for {name}: {answer.text}")

    async with server.client() as client, trio.open_nursery() as nursery:
        for name in wanted:
            nursery.start_soon(one, client, name)
