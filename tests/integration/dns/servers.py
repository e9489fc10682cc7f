"""Name servers for the tests of this folder: BIND and Knot as processes, and a scripted one inside the test."""

from __future__ import annotations

import base64
import secrets
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import trio

from acme_manager.config.model import DnsConfig
from acme_manager.structure import background

KEY_NAME = "acme"
START_LIMIT = 10.0


@attrs.frozen(kw_only=True)
class NameServer:
    """A running server. `secret` is its TSIG key's, hmac-sha256."""

    port: int
    secret: str
    address: str = "127.0.0.1"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "RFC2136_NAMESERVER": f"{self.address}:{self.port}",
            "RFC2136_TSIG_KEY": KEY_NAME,
            "RFC2136_TSIG_SECRET": self.secret,
            "RFC2136_TSIG_ALGORITHM": "hmac-sha256.",
            "RFC2136_PROPAGATION_TIMEOUT": "10",
        }

    @property
    def config(self) -> DnsConfig:
        return DnsConfig(resolvers=((self.address, self.port),), timeout=2.0, authoritative_port=self.port)

    def texts(self, name: str) -> set[str]:
        """The TXT values at a name, asked for behind our code's back."""
        query = dns.message.make_query(name, "TXT", flags=0)
        answer = dns.query.udp(query, self.address, port=self.port, timeout=5)
        return {data.strings[0].decode() for rrset in answer.answer for data in rrset if hasattr(data, "strings")}


def zone_file(records: str = "", servers: Mapping[str, str] | None = None) -> str:
    """A zone's text; `servers` are addresses by label."""
    hosts = {"ns1": "127.0.0.1"} if servers is None else servers
    lines = [f"@ NS {label}\n{label} A {address}" for label, address in hosts.items()]
    return "$TTL 5\n@ SOA localhost. hostmaster.localhost. 1 60 60 600 1\n" + "\n".join(lines) + f"\n{records}\n"


@contextmanager
def bind(folder: Path, zones: Mapping[str, str]) -> Iterator[NameServer]:
    """BIND; the key may change TXT records only, in every zone but those whose names begin with `locked`."""
    server = NameServer(port=free_port(), secret=new_secret())
    clauses = []
    for zone, text in zones.items():
        (folder / f"{zone}.zone").write_text(text)
        policy = "" if zone.startswith("locked") else "update-policy { grant acme. zonesub TXT; };"
        clauses.append(f'zone "{zone}" {{ type primary; file "{zone}.zone"; {policy} }};')
    (folder / "root.zone").write_text(zone_file())
    (folder / "named.conf").write_text(
        f"""options {{ directory "{folder}"; pid-file none; session-keyfile none; lock-file none;
          listen-on port {server.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
          recursion yes; allow-recursion {{ 127.0.0.0/8; }}; allow-query {{ any; }}; forwarders {{ }};
          dnssec-validation no; empty-zones-enable no; notify no; minimal-responses yes; qname-minimization off; }};
        controls {{ }};
        key "{KEY_NAME}." {{ algorithm hmac-sha256; secret "{server.secret}"; }};
        zone "." {{ type primary; file "root.zone"; }};
        """
        + "\n".join(clauses)
    )
    with running(["named", "-c", str(folder / "named.conf"), "-f", "-n", "1", "-4"], server, next(iter(zones))):
        yield server


@contextmanager
def knot(
    folder: Path, zones: Mapping[str, str], address: str = "127.0.0.1", port: int | None = None
) -> Iterator[NameServer]:
    """Knot, authoritative only; the key may change anything in every zone."""
    server = NameServer(port=port or free_port(), secret=new_secret(), address=address)
    clauses = []
    for zone, text in zones.items():
        (folder / f"{zone}.zone").write_text(text)
        clauses.append(f"  - domain: {zone}\n    file: {zone}.zone\n    acl: updates\n    zonefile-sync: -1\n")
    (folder / "db").mkdir()
    (folder / "knot.conf").write_text(
        f"server:\n  listen: {address}@{server.port}\n  rundir: {folder}\n"
        "  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
        f"database:\n  storage: {folder}/db\n"
        f"key:\n  - id: {KEY_NAME}.\n    algorithm: hmac-sha256\n    secret: {server.secret}\n"
        f"acl:\n  - id: updates\n    key: {KEY_NAME}.\n    action: update\n"
        f"template:\n  - id: default\n    storage: {folder}\n"
        "zone:\n" + "".join(clauses)
    )
    with running(["knotd", "-c", str(folder / "knot.conf")], server, next(iter(zones))):
        yield server


@contextmanager
def running(command: list[str], server: NameServer, zone: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + START_LIMIT
        while not answers(server, zone):
            assert process.poll() is None, f"{command[0]} ended: {process.stderr and process.stderr.read()!r}"
            assert time.monotonic() < deadline, f"{command[0]} does not answer"
        yield
    finally:
        process.terminate()
        process.communicate(timeout=10)


def answers(server: NameServer, zone: str) -> bool:
    try:
        answer = dns.query.udp(dns.message.make_query(zone, "SOA"), server.address, port=server.port, timeout=0.05)
    except (OSError, dns.exception.Timeout):
        return False
    return bool(answer.answer)


def free_port(address: str = "127.0.0.1") -> int:
    """A port that is free for UDP and TCP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((address, 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind((address, port))
            except OSError:
                continue
            return port


def new_secret() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


Script = Callable[[int, dns.message.Message], dns.message.Message | None]
"""Called with the number of the TXT question, from 1, and the question; None is silence."""


@asynccontextmanager
async def scripted(address: str, port: int, script: Script) -> AsyncIterator[None]:
    """A UDP server whose answers a test writes."""
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind((address, port))
        async with background(partial(_serve, sock, script)):
            yield


async def _serve(sock: trio.socket.SocketType, script: Script) -> None:
    asked = 0
    while True:
        wire, source = await sock.recvfrom(65535)
        query = dns.message.from_wire(wire)
        asked += query.question[0].rdtype == dns.rdatatype.TXT
        answer = script(asked, query)
        if answer is not None:
            await sock.sendto(answer.to_wire(), source)


def reply(query: dns.message.Message, *values: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> dns.message.Message:
    """An authoritative answer with TXT values."""
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.AA
    answer.set_rcode(rcode)
    if values and query.question[0].rdtype == dns.rdatatype.TXT:
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "TXT", *(f'"{v}"' for v in values)))
    return answer
