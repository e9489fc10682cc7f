"""A server that speaks S3, with one bucket that everybody may read."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx

from tests.parts.program import LOOPBACK, Program, free_port, new_folder, on_free_ports

_SERVER = Path(__file__).with_name("s3_server.py")
BUCKET = "answers"


@attrs.frozen(kw_only=True)
class S3Server:
    """A running server. `environ` are the variables of a user who may write into the bucket."""

    url: str
    environ: Mapping[str, str] = attrs.field(repr=False)
    program: Program

    async def get(self, key: str) -> str | None:
        """The content of an object in the bucket."""
        async with httpx.AsyncClient(verify=False, trust_env=False, timeout=5) as client:
            answer = await client.get(f"{self.url}/{BUCKET}/{key}")
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.raise_for_status().text


@asynccontextmanager
async def s3(folder: Path) -> AsyncIterator[S3Server]:
    """Start it on a loopback address."""

    async def attempt() -> S3Server:
        where, port = new_folder(folder, "s3"), free_port()
        keys = where / "keys"
        argv = (sys.executable, "-I", str(_SERVER), str(port), BUCKET, str(keys))
        program = Program(argv=argv, folder=where, package="moto")
        program.start()

        async def prepared() -> None:
            if not keys.exists():
                raise ConnectionError

        await program.ready(prepared, within=30)
        access_key, secret_key = keys.read_text().splitlines()
        environ = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
        return S3Server(url=f"http://{LOOPBACK}:{port}", environ=environ, program=program)

    server = await on_free_ports(attempt)
    try:
        yield server
    finally:
        server.program.kill()
