"""Knot DNS: RFC 2136 with TSIG. A second implementation; it does not follow CNAMEs into another zone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.parts.dns_server import DnsServer, TsigKey, zone_file
from tests.parts.program import LOOPBACK, Program, free_port, new_folder, on_free_ports

_CONFIG = """
server:
  rundir: "."  # the path of a socket has to be short
  listen: {address}@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: info
database:
  storage: "{folder}/db"
key:
  - id: {key.name}
    algorithm: {key.algorithm}
    secret: {key.secret}
acl:
  - id: update
    key: {key.name}
    action: [update, transfer]
template:
  - id: default
    storage: "{folder}"
    zonefile-sync: -1
    acl: update
zone:
"""


@asynccontextmanager
async def knot(
    folder: Path,
    zones: Sequence[str],
    *,
    records: Mapping[str, Sequence[str]] | None = None,
    key: TsigKey | None = None,
    address: str = LOOPBACK,
) -> AsyncIterator[DnsServer]:
    """Start Knot for `zones`, all of which the key may update. `address` is anything in 127.0.0.0/8."""
    its_key = key or TsigKey()

    async def attempt() -> DnsServer:
        where = new_folder(folder, "knot")
        (where / "db").mkdir()
        port = free_port(address)
        config = _CONFIG.format(folder=where, port=port, address=address, key=its_key)
        for zone in zones:
            config += f"  - domain: {zone}\n"
            (where / f"{zone}.zone").write_text(zone_file(zone, address, records or {}))
        (where / "knot.conf").write_text(config)
        argv = ("knotd", "-c", str(where / "knot.conf"))
        program = Program(argv=argv, folder=where, package="knot")
        server = DnsServer(address=address, port=port, zones=tuple(zones), key=its_key, program=program)
        await server.start()
        return server

    server = await on_free_ports(attempt)
    try:
        yield server
    finally:
        server.program.kill()
