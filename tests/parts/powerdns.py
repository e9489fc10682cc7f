"""PowerDNS: an authoritative server that is changed over its HTTP API. It follows a CNAME into another of its zones."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import attrs
import dns.asyncquery
import dns.message
import httpx

from tests.parts.dns_server import txt_values
from tests.parts.place import here
from tests.parts.program import Address, Program, free_ports, new_folder, on_free_ports

_SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
_CONFIG = """
launch=gsqlite3
gsqlite3-database={folder}/zones.db
gsqlite3-pragma-synchronous=0
local-address={address}
local-port={port}
socket-dir={folder}
webserver=yes
webserver-address={api_address}
webserver-port={api_port}
webserver-allow-from=127.0.0.0/8
api=yes
api-key={key}
security-poll-suffix=
setuid=
setgid=
receiver-threads=1
distributor-threads=1
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
consistent-backends=no
"""


@attrs.frozen(kw_only=True)
class PowerDns:
    """A running server with its API, which wants `key`."""

    at: Address
    url: str
    key: str = attrs.field(repr=False)
    program: Program

    async def txt(self, name: str) -> set[str]:
        """The values of a name's TXT records, as DNS shows them."""
        return await txt_values(name, self.at)

    async def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        """One request to the API."""
        async with httpx.AsyncClient(verify=False, trust_env=False, timeout=5) as client:
            url = f"{self.url}/api/v1/servers/localhost{path}"
            answer = await client.request(method, url, json=body, headers={"X-API-Key": self.key})
        return answer.raise_for_status()

    async def start(self, zones: Sequence[str], records: Mapping[str, Sequence[tuple[str, str, str]]]) -> None:
        """Start it, and make the zones over its API."""
        self.program.start()
        await self.program.ready(lambda: self.call("GET", ""))
        for zone in zones:
            rrsets = [
                {"name": name, "type": kind, "ttl": 1, "records": [{"content": content, "disabled": False}]}
                for name, kind, content in (
                    (f"ns.{zone}.", "A", self.at[0]),
                    *records.get(zone, ()),
                )
            ]
            body = {"name": f"{zone}.", "kind": "Native", "nameservers": [f"ns.{zone}."], "rrsets": rrsets}
            await self.call("POST", "/zones", body)
            question = dns.message.make_query(zone, "SOA")
            await self.program.ready(lambda asked=question: _asked(asked, self.at))  # type: ignore[misc]


def _make_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_SCHEMA.read_text())


async def _asked(question: dns.message.Message, at: Address) -> None:
    if not (await dns.asyncquery.udp(question, at[0], port=at[1], timeout=0.5)).answer:
        raise ConnectionError("the zone is not there yet")


@asynccontextmanager
async def powerdns(
    folder: Path,
    zones: Sequence[str],
    *,
    records: Mapping[str, Sequence[tuple[str, str, str]]] | None = None,
    at: Address | None = None,
) -> AsyncIterator[PowerDns]:
    """Start PowerDNS for `zones`, by default on a free port; `records` is {zone: (absolute name, type, content)}."""

    async def attempt() -> PowerDns:
        where = new_folder(folder, "pdns")
        port, api_port = free_ports(2)
        address, port = at or (here().address, port)
        key = secrets.token_urlsafe(24)
        (where / "pdns.conf").write_text(
            _CONFIG.format(
                folder=where, address=address, port=port, api_address=here().address, api_port=api_port, key=key
            )
        )
        _make_database(where / "zones.db")
        argv = ("pdns_server", f"--config-dir={where}", "--guardian=no", "--daemon=no")
        program = Program(argv=argv, folder=where, package="pdns-server")
        server = PowerDns(at=(address, port), url=f"http://{here().address}:{api_port}", key=key, program=program)
        await server.start(zones, records or {})
        return server

    server = await on_free_ports(attempt)
    try:
        yield server
    finally:
        server.program.kill()
