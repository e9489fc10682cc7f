"""BIND: RFC 2136 with TSIG, rights per record type, and it follows a CNAME into another of its zones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.parts.dns_server import DnsServer, TsigKey, zone_file
from tests.parts.place import here
from tests.parts.program import Program, free_port, new_folder, on_free_ports

# Recursion with a root zone of its own: names of the world outside do not exist, and nobody is asked about them.
_CONFIG = """
options {{
  directory "{folder}"; pid-file none; session-keyfile none; lock-file none;
  listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};
  recursion yes; allow-recursion {{ any; }}; allow-query {{ any; }}; forwarders {{ }};
  dnssec-validation no; empty-zones-enable no; notify no; minimal-responses yes; qname-minimization off;
}};
controls {{ }};
key "{key.name}" {{ algorithm {key.algorithm}; secret "{key.secret}"; }};
zone "." {{ type primary; file "root.zone"; }};
"""
_KEY = 'key "{key.name}" {{ algorithm {key.algorithm}; secret "{key.secret}"; }};\n'
_ELSEWHERE = 'zone "{zone}" {{ type forward; forward only; forwarders {{ {address} port {port}; }}; }};\n'
_ZONE = 'zone "{zone}" {{ type primary; file "{zone}.zone"; {policy} }};\n'


def _delegations(elsewhere: Mapping[str, str]) -> list[str]:
    return [line for zone, at in elsewhere.items() for line in (f"{zone}. NS ns.{zone}.", f"ns.{zone}. A {at}")]


@asynccontextmanager
async def bind(
    folder: Path,
    zones: Mapping[str, str],
    *,
    records: Mapping[str, Sequence[str]] | None = None,
    key: TsigKey | None = None,
    elsewhere: Mapping[str, str] | None = None,
    keys: Mapping[str, TsigKey] | None = None,
) -> AsyncIterator[DnsServer]:
    """Start BIND for `zones`, {zone: what the key may update}: `zonesub TXT`, `zonesub ANY`, or "" for nothing.

    `records` is {zone: lines}, see `zone_file`; `elsewhere` is {zone: address of the server to ask about it}, which
    has BIND's own port. `keys` are of zones that have one of their own.
    """
    its_key = key or TsigKey()

    async def attempt() -> DnsServer:
        where = new_folder(folder, "bind")
        address, port = here().address, free_port()
        config = _CONFIG.format(folder=where, port=port, address=address, key=its_key)
        (where / "root.zone").write_text(zone_file(".", address, {".": _delegations(elsewhere or {})}))
        config += "".join(_KEY.format(key=one) for one in (keys or {}).values())
        for zone, rights in zones.items():
            granted = (keys or {}).get(zone, its_key)
            policy = f"update-policy {{ grant {granted.name} {rights}; }};" if rights else ""
            config += _ZONE.format(zone=zone, policy=policy)
            (where / f"{zone}.zone").write_text(zone_file(zone, address, records or {}))
        for zone, other in (elsewhere or {}).items():
            config += _ELSEWHERE.format(zone=zone, address=other, port=port)
        (where / "named.conf").write_text(config)
        argv = ("named", "-c", str(where / "named.conf"), "-g", "-n", "1", "-4")
        program = Program(argv=argv, folder=where, package="bind9")
        server = DnsServer(address=address, port=port, zones=tuple(zones), key=its_key, program=program)
        await server.start()
        return server

    server = await on_free_ports(attempt)
    try:
        yield server
    finally:
        server.program.kill()
