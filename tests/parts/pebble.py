"""Pebble, the main CA of the tests. Debian's 2.4 has neither renewal information (RFC 9773) nor profiles.

It forgets everything when it is restarted, with a new root. Many orders in flight with quick polls can wedge it: keep
to 8 orders and polls of 100 ms, and use a fresh one per test.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx

from tests.parts import tls
from tests.parts.program import LOOPBACK, Address, Program, free_ports, new_folder, on_free_ports


@attrs.frozen(kw_only=True)
class Pebble:
    """A running CA. `ca_pem` is the CA of its TLS certificate, not the one that it issues from (`root()`)."""

    directory: str
    management: str
    ca_pem: Path
    program: Program

    async def status(self, serial: int) -> str:
        """`Valid` or `Revoked`. Raises httpx.HTTPStatusError (404) for a certificate that it never issued."""
        return str((await self._ask(f"cert-status-by-serial/{serial:x}")).json()["Status"])

    async def root(self, chain: int = 0) -> bytes:
        """A root certificate in PEM; with `alternate_roots`, 1 and more are the others."""
        return (await self._ask(f"roots/{chain}")).content

    async def intermediate(self, chain: int = 0) -> bytes:
        """An intermediate certificate in PEM."""
        return (await self._ask(f"intermediates/{chain}")).content

    async def start(self) -> None:
        """Start it again on the same ports, with no account, order or root of before."""
        self.program.start()
        await self._ready()

    async def stop(self) -> None:
        """End it."""
        await self.program.stop()

    async def restart(self) -> None:
        """Stop and start."""
        await self.stop()
        await self.start()

    async def _ready(self) -> None:
        await self.program.ready(lambda: _get(self.directory))
        await self.program.ready(lambda: self._ask("roots/0"))

    async def _ask(self, path: str) -> httpx.Response:
        return await _get(f"{self.management}/{path}")


@asynccontextmanager
async def pebble(
    folder: Path,
    *,
    dns: Address | None = None,
    http_port: int = 5002,
    tls_port: int | None = None,
    nonce_reject: int = 0,
    strict: bool = True,
    eab: Mapping[str, str] | None = None,
    validity: int = 90 * 86400,
    authz_reuse: int = 0,
    alternate_roots: int = 0,
    chain_length: int = 1,
    always_valid: bool = False,
) -> AsyncIterator[Pebble]:
    """Start Pebble without its artificial pauses.

    `dns` is the server it validates through (default: the system's); http-01 is asked for on `http_port`,
    tls-alpn-01 on `tls_port` (default: where nobody listens).
    `nonce_reject` and `authz_reuse` are percentages, `validity` of certificates is in seconds, `eab` is
    {kid: base64url key} and makes a binding required, `always_valid` skips validation.
    """

    async def attempt() -> Pebble:
        where = new_folder(folder, "pebble")
        files = tls.server_files(where)
        acme_port, management_port, closed = free_ports(3)
        config = {
            "listenAddress": f"{LOOPBACK}:{acme_port}",
            "managementListenAddress": f"{LOOPBACK}:{management_port}",
            "certificate": str(files.chain),
            "privateKey": str(files.key),
            "httpPort": http_port,
            "tlsPort": tls_port or closed,
            "ocspResponderURL": "",
            "certificateValidityPeriod": validity,
            "externalAccountBindingRequired": bool(eab),
            "externalAccountMACKeys": dict(eab or {}),
        }
        (where / "pebble.json").write_text(json.dumps({"pebble": config}))
        argv = ["pebble", "-config", "pebble.json", f"-strict={str(strict).lower()}"]
        if dns:
            argv += ["-dnsserver", "{}:{}".format(*dns)]
        env = {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": str(nonce_reject),
            "PEBBLE_AUTHZREUSE": str(authz_reuse),
            "PEBBLE_ALTERNATE_ROOTS": str(alternate_roots),
            "PEBBLE_CHAIN_LENGTH": str(chain_length),
        }
        if always_valid:
            env["PEBBLE_VA_ALWAYS_VALID"] = "1"
        ca = Pebble(
            directory=f"https://localhost:{acme_port}/dir",
            management=f"https://localhost:{management_port}",
            ca_pem=files.ca,
            program=Program(argv=tuple(argv), folder=where, package="pebble", env=env),
        )
        await ca.start()
        return ca

    ca = await on_free_ports(attempt)
    try:
        yield ca
    finally:
        ca.program.kill()


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=tls.client_context(), trust_env=False, timeout=5) as client:
        return (await client.get(url)).raise_for_status()
