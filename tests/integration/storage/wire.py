"""Things to put in Vault's place, or between it and us."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio

from acme_manager.config.model import VaultConfig


@attrs.frozen
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: Any


@attrs.frozen
class Reply:
    status: int = 200
    body: Any = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.define
class FakeVault:
    """Answers logins, then what it is told to, then 404; remembers every request."""

    port: int
    replies: list[Reply] = attrs.field(factory=list)
    requests: list[Request] = attrs.field(factory=list)
    lease: int = 3600
    login: Reply | None = None
    logins_open: trio.Event = attrs.field(factory=trio.Event)

    def config(self, scheme: str = "http", **changes: Any) -> VaultConfig:
        config = VaultConfig(
            url=f"{scheme}://127.0.0.1:{self.port}",
            role_id="role",
            secret_id="secret",
            secret_engine="secret",
            certificate_prefix="certificates",
            token_prefix="tokens",
            retry_wait_min=0.01,
            retry_wait_max=0.01,
        )
        return attrs.evolve(config, **changes)

    def asked(self, start: str) -> list[Request]:
        return [one for one in self.requests if urlsplit(one.target).path.startswith(start)]

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until the client hangs up."""
        data = bytearray()
        while True:
            while b"\r\n\r\n" not in data:
                chunk = await stream.receive_some()
                if not chunk:
                    return
                data += chunk
            head, _, rest = bytes(data).partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            while len(rest) < int(headers.get("content-length", 0)):
                rest += await stream.receive_some()
            data.clear()
            method, target, _ = first.split(" ")
            self.requests.append(Request(method, target, headers, json.loads(rest or b"null")))
            if target.endswith("/login"):
                await self.logins_open.wait()
            await stream.send_all(_wire(self._reply(target)))

    def _reply(self, target: str) -> Reply:
        if target.endswith("/login"):
            if self.login is not None:
                return self.login
            token = f"s.fake-token-{len(self.asked(target))}"
            return Reply(200, {"auth": {"client_token": token, "lease_duration": self.lease}})
        if target.endswith("/revoke-self"):
            return Reply(204, None)
        return self.replies.pop(0) if self.replies else Reply(404, {"errors": []})


def _wire(reply: Reply) -> bytes:
    body = (
        b"" if reply.body is None else reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    )
    headers = {"Content-Length": str(len(body)), **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} Whatever", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


@asynccontextmanager
async def fake_vault(tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeVault]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    fake = FakeVault(listeners[0].socket.getsockname()[1])
    fake.logins_open.set()

    async def handle(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # the client did not like our certificate
            await fake.handle(trio.SSLStream(stream, tls, server_side=True) if tls else stream)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, handle, listeners)
        yield fake
        nursery.cancel_scope.cancel()


@attrs.define
class Relay:
    """Passes bytes to a server; the next `swallow` answers get lost, connection and all."""

    url: str
    swallow: int = 0


@asynccontextmanager
async def relay_to(url: str) -> AsyncIterator[Relay]:
    server_port = urlsplit(url).port or 0
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    relay = Relay(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")

    async def handle(client: trio.SocketStream) -> None:
        try:
            server = await trio.open_tcp_stream("127.0.0.1", server_port)
        except OSError:  # the server is away, and so are we
            await client.aclose()
            return
        async with client, server, trio.open_nursery() as nursery:

            async def forth() -> None:
                with suppress(trio.BrokenResourceError):
                    async for chunk in client:
                        await server.send_all(chunk)
                nursery.cancel_scope.cancel()

            nursery.start_soon(forth)
            with suppress(trio.BrokenResourceError):
                async for chunk in server:
                    if relay.swallow:
                        relay.swallow -= 1
                        break
                    await client.send_all(chunk)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, handle, listeners)
        yield relay
        nursery.cancel_scope.cancel()
