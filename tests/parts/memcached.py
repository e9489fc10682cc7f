"""memcached, where http-01 answers may lie."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from tests.parts.program import LOOPBACK, Program, free_port, new_folder, on_free_ports


@attrs.frozen(kw_only=True)
class Memcached:
    """A running server."""

    port: int
    program: Program

    @property
    def server(self) -> tuple[str, int]:
        """Where it listens."""
        return LOOPBACK, self.port

    async def get(self, key: str) -> str | None:
        """The value of a key."""
        async with await trio.open_tcp_stream(*self.server) as stream:
            await stream.send_all(f"get {key}\r\n".encode())
            answer = b""
            while not answer.endswith(b"END\r\n"):
                answer += await stream.receive_some()
        return answer.split(b"\r\n")[1].decode() if answer.startswith(b"VALUE ") else None


@asynccontextmanager
async def memcached(folder: Path) -> AsyncIterator[Memcached]:
    """Start it on a loopback address, as a user that has no rights."""

    async def attempt() -> Memcached:
        port = free_port()
        argv = ("memcached", "-u", "nobody", "-l", LOOPBACK, "-p", str(port), "-U", "0", "-m", "8", "-t", "1")
        server = Memcached(
            port=port, program=Program(argv=argv, folder=new_folder(folder, "memcached"), package="memcached")
        )
        server.program.start()
        await server.program.ready(lambda: server.get("x"))
        return server

    server = await on_free_ports(attempt)
    try:
        yield server
    finally:
        server.program.kill()
