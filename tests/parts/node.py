"""Our own server as a real process, with a configuration made for the parts around it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import yaml

from tests.parts.dns_server import DnsServer
from tests.parts.openbao import CERTIFICATES, ENGINE, TOKENS, OpenBao
from tests.parts.place import here
from tests.parts.program import Program, free_port, new_folder, on_free_ports

API_KEY = "the administrator's key"
_ALONE = ("-ring.instance-id=node", "-ring.instance-addr=127.0.0.1", "-ring.instance-port=0")
AS_ADMINISTRATOR = {"X-API-Key": API_KEY}


@attrs.define(kw_only=True, eq=False)
class Node:
    """A running server. `restart` keeps its folder, and so its configuration and accounts."""

    url: str
    folder: Path
    program: Program
    name: str = "node"  # its instance id
    token: str = attrs.field(default="", repr=False)

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        """A client with a bearer token; by default the one with all scopes that `node` made."""
        return self.anonymous(Authorization=f"Bearer {self.token if token is None else token}")

    def anonymous(self, **headers: str) -> httpx.AsyncClient:
        """A client that runs beside the node: it reaches it whatever becomes of the network."""
        wire = self.program.place.wire()
        return httpx.AsyncClient(base_url=self.url, headers=headers, transport=wire, trust_env=False, timeout=120)

    async def new_token(self, username: str = "alice", **params: Any) -> str:
        """Make a token as the administrator; all scopes unless `scope` says otherwise."""
        body = {"username": username, "scope": ["create", "read", "update", "delete"], **params}
        async with self.anonymous(**AS_ADMINISTRATOR) as client:
            answer = await client.post("/api/v1/token", json=body)
        return str(answer.raise_for_status().json()["token"])

    async def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it answers; with `ready`, until `/ready` says that everything works."""
        self.program.start()
        await self.answering(ready=ready)

    async def answering(self, *, ready: bool = True) -> None:
        """Wait until a node that has been started answers."""

        async def answers() -> None:
            async with self.anonymous() as client:
                answer = await client.get("/ready" if ready else "/health", timeout=5)
            if not answer.is_success:
                raise ConnectionError(answer.text)

        await self.program.ready(answers, within=30.0)


def new_node(
    folder: Path,
    *,
    bao: OpenBao,
    issuers: Mapping[str, Mapping[str, Any]],
    dns: DnsServer | None = None,
    common: Mapping[str, Any] | None = None,
    vault: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    flags: tuple[str, ...] = (),
    port: int | None = None,
    name: str = "",
    sections: Mapping[str, Any] | None = None,
) -> Node:
    """A node that is not started yet, at the place where we are: storage is `bao`, issuers are as in `config.yml`.

    `sections` are further ones of the file. `dns` is what dns-01 writes to. Without a `name`, which needs flags for the
    ring, it is a cluster of one.
    """
    where = new_folder(folder, "node")
    address = f"{here().address}:{port or free_port()}"
    config = {
        "common": {
            "api_key_hash": hashlib.sha256(API_KEY.encode()).hexdigest(),
            "rootpath_certificate": str(where / "certificates"),
            **(common or {}),
        },
        **(sections or {}),
        "issuer": {name: dict(settings) for name, settings in issuers.items()},
        "storage": {
            "vault": {
                "url": bao.url,
                "role_id": bao.role_id,
                "secret_id": bao.secret_id,
                "secret_engine": ENGINE,
                "certificate_prefix": CERTIFICATES,
                "token_prefix": TOKENS,
                "mount_path": "approle",
                **(vault or {}),
            }
        },
    }
    (where / "config.yml").write_text(yaml.safe_dump(config))
    (where / ".env").write_text(_dotenv({**(_dns_environment(dns) if dns else {}), **(environ or {})}))
    argv = (
        sys.executable,
        "-m",
        "acme_manager",
        f"-server.listen-address={address}",
        *(flags if name else (*_ALONE, *flags)),
    )
    program = Program(argv=argv, folder=where, package="acme-manager", env={"PYTHONPATH": _checkout()})
    return Node(url=f"http://{address}", folder=where, program=program, name=name or "node")


@asynccontextmanager
async def node(folder: Path, *, ready: bool = True, **options: Any) -> AsyncIterator[Node]:
    """Start a node; `options` are those of `new_node`."""

    async def attempt() -> Node:
        made = new_node(folder, **options)
        await made.start(ready=ready)
        return made

    running = await on_free_ports(attempt)
    try:
        if ready:
            running.token = await running.new_token()
        yield running
    finally:
        running.program.kill()


def _dns_environment(dns: DnsServer) -> dict[str, str]:
    return {
        "RFC2136_NAMESERVER": f"{dns.address}:{dns.port}",
        "RFC2136_TSIG_KEY": dns.key.name,
        "RFC2136_TSIG_SECRET": dns.key.secret,
        "RFC2136_TSIG_ALGORITHM": dns.key.algorithm,
        "ACME_MANAGER_DNS_RESOLVERS": f"{dns.address}:{dns.port}",
        "ACME_MANAGER_DNS_AUTHORITATIVE_PORT": str(dns.port),
        "ACME_MANAGER_DNS_TIMEOUT": "2",
    }


def _dotenv(environ: Mapping[str, str]) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in environ.items())


def _checkout() -> str:
    return str(Path(__file__).parents[2])
