"""`scripts/bench agents`: how long it takes from a certificate in storage to one that is installed and served.

A cluster of three, and hosts with an agent each, a process of its own with a token of its own. One certificate after
the other is renewed; then the leader is killed and all are. Raises BenchFailed unless every host serves what the server
has, and nothing else has happened.
"""

from __future__ import annotations

import math
import re
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from itertools import cycle
from pathlib import Path

import attrs
import httpx
import trio

from acme_manager.clock import SystemClock
from acme_manager.structure import together
from tests.bench import machine
from tests.bench.figures import say, table
from tests.bench.parts import BenchFailed
from tests.parts.agent import Agent
from tests.parts.cluster import ZONE, Cluster, open_cluster
from tests.parts.faults import Reply, Request
from tests.parts.node import AS_ADMINISTRATOR, Node
from tests.parts.openbao import CERTIFICATES, ENGINE
from tests.parts.program import Program, new_folder
from tests.parts.tended import ISSUER, TendedHost, tended_host

_AIM = 2.0  # seconds from storage to the installed file
_AT_ONCE = 4  # agents that start: their interpreters would starve the cluster
_FIRST = 60.0  # seconds until an agent has its first certificate
_ONE = 30.0  # until a single renewal is served
_LED = 30.0  # until the cluster has taken the operation
_EACH = 2.0  # for each of all renewals
_REPORTED = 20.0  # until the server has been told
_REST = 1.0  # between two renewals, for the agent to be waiting again
_LOOK = 0.02
_PAUSE = 0.2
_TAKEN_AWAY = re.compile(r"\bstep=(delete|remove|schedule)\b")


@attrs.frozen(kw_only=True)
class Took:
    """Seconds since the new certificate was in storage."""

    installed: float
    served: float


@attrs.frozen(kw_only=True)
class Figures:
    """`alone` is for certificates renewed one after the other, `together` for all at once after the leader's death."""

    alone: Sequence[Took]
    together: Sequence[Took]
    renewals: float  # seconds from the leader's death until the last new certificate was in storage
    all_served: float  # until the last host served its own


@attrs.frozen
class _Kept:
    """Notes what is written to storage for certificates, and when."""

    written: list[tuple[float, bytes]] = attrs.field(factory=list)
    deleted: list[str] = attrs.field(factory=list)

    def observe(self, request: Request, reply: Reply) -> None:
        """The store has answered; its client has not got it yet."""
        found = re.match(rf"/v1/{ENGINE}/(data|metadata|delete|destroy)/{CERTIFICATES}/(?!\.)", request.target)
        if found is None or not 200 <= reply.status < 300 or request.method in {"GET", "LIST"}:
            return
        if request.method == "DELETE" or found[1] in {"delete", "destroy"}:
            self.deleted.append(request.line)
        else:
            self.written.append((SystemClock().now().timestamp(), request.body))

    def at(self, serial: str) -> float:
        """When the certificate with this serial number was first there, in Unix seconds."""
        number = f'"{serial}"'.encode()
        for at, body in self.written:
            if number in body:
                return at
        raise BenchFailed(f"nobody has seen the certificate {serial} being stored")


async def bench_agents(agents: int, singles: int) -> None:
    """Print the figures. Raises BenchFailed."""
    say(f"agents: three nodes, one OpenBao, {agents} agents with a TLS server and a certificate each")
    for what, value in machine.description().items():
        say(f"  {what}: {value}")
    say(f"  load average before: {machine.load()}")
    with tempfile.TemporaryDirectory(prefix="acme-manager-bench-") as folder:
        figures = await time_to_served(Path(folder), agents, singles)
    say(f"\nleader killed, all renewed: the last certificate was in storage after {figures.renewals:.1f} s,")
    say(f"the last host served its own after {figures.all_served:.1f} s; every host serves what the server has")
    head = ("seconds since it was in storage", "certificates", "median", "95 %", "worst")
    say(table([head, *_rows("one by one", figures.alone), *_rows("all after the kill", figures.together)]))
    worst = max(one.installed for one in (*figures.alone, *figures.together))
    say(f"aim: installed within {_AIM:g} s ({'reached' if worst < _AIM else 'MISSED'}: {worst:.2f} s)")
    say(f"  load average after: {machine.load()}")


def _rows(what: str, took: Sequence[Took]) -> list[tuple[str, ...]]:
    rows = {"installed": [one.installed for one in took], "served": [one.served for one in took]}
    return [
        (f"{what}: {step}", str(len(took)), *(f"{one:.2f}" for one in _summary(values)))
        for step, values in rows.items()
    ]


def _summary(values: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(values), sorted(values)[math.ceil(0.95 * len(values)) - 1], max(values)


async def time_to_served(folder: Path, agents: int, singles: int) -> Figures:
    """Start everything, renew `singles` certificates one by one, kill the leader and renew all. Raises BenchFailed."""
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(open_cluster(folder))
        kept = _Kept()
        cluster.to_bao.observe = kept.observe
        hosts = [await stack.enter_async_context(await _host(folder, cluster, number)) for number in range(agents)]
        services = await together(partial(_start, stack), hosts, at_once=_AT_ONCE)
        alone = [await _renew_one(node, host, kept) for node, host in zip(cycle(cluster.nodes), hosts[:singles])]
        before = {host: host.shown[-1].serial for host in hosts}
        leader = await cluster.wait_until_formed()
        asked, other = cluster.others(leader)
        killed = SystemClock().now().timestamp()
        leader.program.kill()
        await _renew_all(asked)
        await _until(
            lambda: all(host.failures or host.shown[-1].serial != before[host] for host in hosts),
            within=_LED + agents * _EACH,
            otherwise=lambda: "not every host serves another certificate",
        )
        for host, service in zip(hosts, services, strict=True):
            await _check(other, host, service)
        if kept.deleted:
            raise BenchFailed(f"certificates were deleted in storage: {kept.deleted}")
        figures = [_took(host, kept) for host in hosts]
        return Figures(
            alone=alone,
            together=figures,
            renewals=max(kept.at(host.shown[-1].serial) for host in hosts) - killed,
            all_served=max(host.shown[-1].at for host in hosts) - killed,
        )


async def _host(folder: Path, cluster: Cluster, number: int) -> AbstractAsyncContextManager[TendedHost]:
    """It asks all nodes, each host another one first."""
    first = number % len(cluster.nodes)
    urls = [f"{node.url}/api/v1" for node in (*cluster.nodes[first:], *cluster.nodes[:first])]
    token = await cluster.nodes[0].new_token(f"host{number}")
    agent = Agent(url=",".join(urls), token=token, folder=new_folder(folder, "agent"))
    return tended_host(agent, f"h{number}.{ZONE}")


async def _start(stack: AsyncExitStack, host: TendedHost) -> Program:
    service = stack.enter_context(host.agent.serving("-server.listen-address="))
    await _until(
        lambda: bool(host.shown or host.failures),
        within=_FIRST,
        otherwise=lambda: f"{host.domain} has no first certificate:\n{service.log()[-3000:]}",
    )
    if host.failures:
        raise BenchFailed(f"{host.domain} could not load: {host.failures}")
    return service


async def _renew_one(node: Node, host: TendedHost, kept: _Kept) -> Took:
    await trio.sleep(_REST)
    before = host.shown[-1].serial
    async with node.client(host.agent.token) as client:
        answer = await client.post("/api/v1/certificate/renew", json={"issuer": ISSUER, "domain": host.domain})
    if not answer.is_success:
        raise BenchFailed(f"{host.domain} was not renewed: {answer.text}")
    await _until(lambda: host.shown[-1].serial != before, within=_ONE, otherwise=lambda: f"{host.domain} is not served")
    return _took(host, kept)


async def _renew_all(node: Node) -> None:
    trouble = "no answer"
    with trio.move_on_after(_LED):
        async with node.anonymous(**AS_ADMINISTRATOR) as client:
            while True:
                with suppress(httpx.TransportError):
                    answer = await client.post("/api/v1/operations/renew", json={"all": True})
                    if answer.status_code == httpx.codes.ACCEPTED:
                        return
                    trouble = answer.text
                await trio.sleep(_LOOK)
    raise BenchFailed(f"the operation did not begin: {trouble}")


def _took(host: TendedHost, kept: _Kept) -> Took:
    serial = host.shown[-1].serial
    stored = kept.at(serial)
    return Took(
        installed=host.switched_at - stored, served=next(one.at for one in host.shown if one.serial == serial) - stored
    )


async def _check(node: Node, host: TendedHost, service: Program) -> None:
    """See that the host serves what the server has, that the server knows, and that nothing else happened."""
    if host.failures:
        raise BenchFailed(f"{host.domain} could not load: {host.failures}")
    if _TAKEN_AWAY.search(service.log()):
        raise BenchFailed(f"the agent of {host.domain} wanted to take something away:\n{service.log()[-3000:]}")
    async with node.client(host.agent.token) as client:
        listed = (await client.get("/api/v1/certificate/metadata")).raise_for_status().json()
        kept, served = [one["serial"] for one in listed], await host.serial()
        if kept != [served]:
            raise BenchFailed(f"{host.domain} serves {served}, and the server has {kept}")
        whose = {"issuer": ISSUER, "domain": host.domain}
        with trio.move_on_after(_REPORTED):
            while True:
                told = (await client.get("/api/v1/certificate/reports", params=whose)).raise_for_status().json()
                if told and told[0]["current"] and told[0]["served"]["ok"]:
                    return
                await trio.sleep(_PAUSE)
    raise BenchFailed(f"the server was not told that {host.domain} serves it: {told}")


async def _until(condition: Callable[[], bool], *, within: float, otherwise: Callable[[], str]) -> None:
    with trio.move_on_after(within):
        while not condition():  # noqa: ASYNC110 nobody sets an event of ours
            await trio.sleep(_LOOK)
        return
    raise BenchFailed(f"{otherwise()} after {within:g} s")
