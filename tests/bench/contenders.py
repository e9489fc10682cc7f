"""Who competes in `scripts/bench issue`: each gets a number of certificates with parts made for this one run."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import attrs
import trio

from tests.bench.machine import Cost, measured
from tests.bench.parts import (
    ZONE,
    Parts,
    check_certificates,
    check_clean,
    names,
    run_module,
    run_program,
)
from tests.parts.node import node
from tests.parts.openbao import openbao
from tests.parts.program import Program

OURS, BARE, LEGO, CERTBOT = "acme-manager", "bare loop", "lego", "certbot"


@attrs.frozen(kw_only=True)
class Run:
    """What one contender did in one round."""

    certificates: int
    cost: Cost
    cpu: float  # seconds of the contender's own processes

    @property
    def rate(self) -> float:
        """Certificates per second."""
        return self.certificates / self.cost.wall

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per certificate."""
        return 1000 * self.cpu / self.certificates


Contender = Callable[[Path, Parts, int, int], Awaitable[Run]]
"""Called with an empty folder, the parts, the number of certificates and the number in flight."""


async def ours(folder: Path, parts: Parts, count: int, in_flight: int) -> Run:
    """Our server as it is installed, with a real store; all certificates are requested at once over its API."""
    wanted = names("a", count)
    issuer = {
        "ca_dir_url": parts.ca.directory,
        "ca_bundle": str(parts.ca.ca_pem),
        "dns_challenge": "rfc2136",
        "overall_request_limit": 1000,  # the most there is: no brake
        "max_orders": in_flight,
    }
    environ = {
        "ACME_MANAGER_DNS_AUTHORITATIVE_PORT": str(parts.dns.port),
    }
    async with (
        openbao(folder) as bao,
        node(folder, bao=bao, issuers={"pebble": issuer}, dns=parts.dns, environ=environ) as server,
    ):
        pids = {OURS: server.program.pid, "OpenBao": bao.program.pid, **_pids(parts)}
        order = {"url": server.url, "token": server.token, "issuer": "pebble", "names": wanted, "pids": pids}
        done = await run_module("tests.bench.caller", order)
    check_certificates(done["certificates"], wanted, OURS)
    await check_clean(parts.dns, wanted, OURS)
    cost = Cost(**done["cost"])
    return Run(certificates=count, cost=cost, cpu=cost.parts[OURS])


async def bare(folder: Path, parts: Parts, count: int, in_flight: int) -> Run:
    """The least that has to be done, in one Trio process."""
    wanted = names("b", count)
    order = {
        "directory": parts.ca.directory,
        "ca_pem": str(parts.ca.ca_pem),
        "dns": parts.dns.at,
        "key": attrs.asdict(parts.dns.key),
        "zone": ZONE,
        "names": wanted,
        "in_flight": in_flight,
        "pids": _pids(parts),
    }
    done = await run_module("tests.bench.bare", order)
    check_certificates(done["certificates"], wanted, BARE)
    await check_clean(parts.dns, wanted, BARE)
    cost = Cost(**done["cost"])
    return Run(certificates=count, cost=cost, cpu=cost.own)


async def lego(folder: Path, parts: Parts, count: int, in_flight: int) -> Run:
    """A lego process per certificate, in as many folders as are in flight, without its waits for propagation."""
    key = parts.dns.key
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LEGO_CA_CERTIFICATES": str(parts.ca.ca_pem),
        "RFC2136_NAMESERVER": f"{parts.dns.address}:{parts.dns.port}",
        "RFC2136_TSIG_KEY": key.name,
        "RFC2136_TSIG_SECRET": key.secret,
        "RFC2136_TSIG_ALGORITHM": f"{key.algorithm}.",
        "RFC2136_POLLING_INTERVAL": "0",
        "RFC2136_PROPAGATION_TIMEOUT": "10",
    }

    async def one(state: Path, name: str) -> str:
        command = ["lego", "--path", str(state), "--server", parts.ca.directory, "--accept-tos"]
        command += ["--email", "bench@example.test", "--key-type", "ec256", "--dns", "rfc2136", "--dns.disable-cp"]
        command += ["--dns.resolvers", f"{parts.dns.address}:{parts.dns.port}", "--domains", name, "run"]
        await run_program(command, env, folder)
        return (state / "certificates" / f"{name}.crt").read_text()

    async def account(state: Path, warm: str) -> None:
        await one(state, warm)  # lego has no command that makes an account only

    return await _in_parallel(LEGO, folder, parts, names("c", count), in_flight, account, one)


async def certbot(folder: Path, parts: Parts, count: int, in_flight: int) -> Run:
    """A certbot process per certificate, in as many folders as are in flight, without its wait for propagation."""
    key = parts.dns.key
    credentials = folder / "rfc2136.ini"
    credentials.touch(0o600)
    credentials.write_text(
        f"dns_rfc2136_server = {parts.dns.address}\ndns_rfc2136_port = {parts.dns.port}\n"
        f"dns_rfc2136_name = {key.name}\ndns_rfc2136_secret = {key.secret}\n"
        f"dns_rfc2136_algorithm = {key.algorithm.upper()}\n"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "REQUESTS_CA_BUNDLE": str(parts.ca.ca_pem)}

    def command(verb: str, state: Path) -> list[str]:
        folders = [f"--{kind}-dir={state / kind}" for kind in ("config", "work", "logs")]
        return ["certbot", verb, "--non-interactive", "--agree-tos", "--server", parts.ca.directory, *folders]

    async def account(state: Path, _warm: str) -> None:
        await run_program([*command("register", state), "--email", "bench@example.test"], env, folder)

    async def one(state: Path, name: str) -> str:
        options = ["--dns-rfc2136", "--dns-rfc2136-credentials", str(credentials)]
        options += ["--dns-rfc2136-propagation-seconds", "0", "--key-type", "ecdsa", "--domain", name]
        await run_program([*command("certonly", state), *options], env, folder)
        return (state / "config" / "live" / name / "cert.pem").read_text()

    return await _in_parallel(CERTBOT, folder, parts, names("d", count), in_flight, account, one)


async def _in_parallel(
    who: str,
    folder: Path,
    parts: Parts,
    wanted: Sequence[str],
    in_flight: int,
    account: Callable[[Path, str], Awaitable[None]],
    one: Callable[[Path, str], Awaitable[str]],
) -> Run:
    """Let as many workers as are in flight call `one` until all is done; each first makes its own account."""
    found: dict[str, str] = {}
    waiting = list(wanted)
    states = [folder / f"state{number}" for number in range(in_flight)]

    async def work(state: Path) -> None:
        while waiting:
            name = waiting.pop()
            found[name] = await one(state, name)

    async with trio.open_nursery() as nursery:
        for state, warm in zip(states, names("warm", in_flight), strict=True):
            nursery.start_soon(account, state, warm)
    with measured(_pids(parts)) as cost:
        async with trio.open_nursery() as nursery:
            for state in states:
                nursery.start_soon(work, state)
    check_certificates(found, wanted, who)
    await check_clean(parts.dns, wanted, who)
    return Run(certificates=len(wanted), cost=cost, cpu=cost.children)


CONTENDERS: Mapping[str, Contender] = {OURS: ours, BARE: bare, LEGO: lego, CERTBOT: certbot}


def _pids(parts: Parts) -> dict[str, int]:
    return {name: program.pid for name, program in _programs(parts).items()}


def _programs(parts: Parts) -> dict[str, Program]:
    return {"Pebble": parts.ca.program, "BIND": parts.dns.program}
