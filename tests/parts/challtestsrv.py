"""pebble-challtestsrv: a DNS server of made-up answers and an http-01 responder, both told what to say over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import dns.asyncquery
import dns.message
import httpx

from tests.parts.dns_server import txt_values
from tests.parts.program import LOOPBACK, Address, Program, free_ports, new_folder, on_free_ports


@attrs.frozen(kw_only=True)
class Challtestsrv:
    """A running server. Every name has the address 127.0.0.1 until told otherwise. It has no SOA records."""

    dns: Address
    http_port: int
    management: str
    program: Program

    async def add_http01(self, token: str, content: str) -> None:
        """Answer `content` at `/.well-known/acme-challenge/{token}` on `http_port`."""
        await self._post("add-http01", token=token, content=content)

    async def set_txt(self, host: str, value: str) -> None:
        """Add a TXT value to a name."""
        await self._post("set-txt", host=_dotted(host), value=value)

    async def clear_txt(self, host: str) -> None:
        """Remove all TXT values of a name."""
        await self._post("clear-txt", host=_dotted(host))

    async def txt(self, host: str) -> set[str]:
        """The TXT values that it answers with now."""
        return await txt_values(host, self.dns)

    async def add_a(self, host: str, *addresses: str) -> None:
        """Give a name these IPv4 addresses."""
        await self._post("add-a", host=_dotted(host), addresses=addresses)

    async def set_cname(self, host: str, target: str) -> None:
        """Make a name an alias; it is followed in answers."""
        await self._post("set-cname", host=_dotted(host), target=_dotted(target))

    async def set_servfail(self, host: str) -> None:
        """Answer SERVFAIL for a name."""
        await self._post("set-servfail", host=_dotted(host))

    async def _post(self, path: str, **body: str | Sequence[str]) -> None:
        async with httpx.AsyncClient(verify=False, trust_env=False, timeout=5) as client:
            (await client.post(f"{self.management}/{path}", json=body)).raise_for_status()


@asynccontextmanager
async def challtestsrv(folder: Path) -> AsyncIterator[Challtestsrv]:
    """Start it on loopback; point Pebble at its `dns` and `http_port`."""

    async def attempt() -> Challtestsrv:
        dns_port, http_port, management_port = free_ports(3)
        listen = {
            "-defaultIPv4": LOOPBACK,
            "-defaultIPv6": "",
            "-dns01": f"{LOOPBACK}:{dns_port}",
            "-http01": f"{LOOPBACK}:{http_port}",
            "-https01": "",
            "-tlsalpn01": "",
            "-management": f"{LOOPBACK}:{management_port}",
        }
        argv = ["pebble-challtestsrv", *(f"{flag}={value}" for flag, value in listen.items())]
        server = Challtestsrv(
            dns=(LOOPBACK, dns_port),
            http_port=http_port,
            management=f"http://{LOOPBACK}:{management_port}",
            program=Program(argv=tuple(argv), folder=new_folder(folder, "challtestsrv"), package="pebble"),
        )
        server.program.start()
        question = dns.message.make_query("ready.test", "A")
        await server.program.ready(lambda: dns.asyncquery.tcp(question, LOOPBACK, port=dns_port, timeout=0.5))
        await server.program.ready(lambda: dns.asyncquery.udp(question, LOOPBACK, port=dns_port, timeout=0.5))
        await server.program.ready(lambda: server.set_txt("ready.test", "x"))
        return server

    server = await on_free_ports(attempt)
    try:
        yield server
    finally:
        server.program.kill()


def _dotted(name: str) -> str:
    return name if name.endswith(".") else f"{name}."
