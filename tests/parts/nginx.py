"""nginx with one `server` for each host name, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.parts.program import LOOPBACK, Program, free_port, new_folder, on_free_ports

_CONFIG = """
daemon off;
worker_processes 1;
error_log stderr;
pid {folder}/pid;
user nobody nogroup;
events {{ worker_connections 64; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen {address}:{port} default_server; return 404; }}
    {servers}
}}
"""


@asynccontextmanager
async def nginx(folder: Path, servers: Mapping[str, str]) -> AsyncIterator[int]:
    """Start it; `servers` has what is in the `server` block of each host name. Yields its port.

    Its worker has no rights, so it reads what everybody may.
    """

    async def attempt() -> tuple[Program, int]:
        where, port = new_folder(folder, "nginx"), free_port()
        where.chmod(0o755)
        blocks = "\n".join(
            f"server {{ listen {LOOPBACK}:{port}; server_name {name}; {block} }}" for name, block in servers.items()
        )
        (where / "nginx.conf").write_text(_CONFIG.format(folder=where, address=LOOPBACK, port=port, servers=blocks))
        argv = ("nginx", "-p", str(where), "-c", str(where / "nginx.conf"), "-e", "stderr")
        program = Program(argv=argv, folder=where, package="nginx-light")
        program.start()
        await program.ready(lambda: _get(f"http://{LOOPBACK}:{port}/"))
        return program, port

    program, port = await on_free_ports(attempt)
    try:
        yield port
    finally:
        program.kill()


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=5) as client:
        return await client.get(url)
