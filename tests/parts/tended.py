"""A host that an agent looks after, with a TLS server that loads the agent's files when the post command says so."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import attrs
import trio
from cryptography import x509

from acme_manager.client.layout import Paths, paths_of
from acme_manager.client.model import Common
from acme_manager.clock import SystemClock
from acme_manager.structure import background
from tests.parts.agent import Agent
from tests.parts.program import LOOPBACK

ISSUER = "pebble"
_HANDSHAKE = 10.0  # seconds


@attrs.frozen(kw_only=True)
class Shown:
    """A certificate that a client was shown right after the server had loaded it."""

    serial: str  # plain lower-case hex
    at: float  # when, in Unix seconds


@attrs.define(kw_only=True, eq=False)
class TendedHost:
    """Its agent, and what became of each time that its TLS server was told to load."""

    agent: Agent
    domain: str
    port: int
    shown: list[Shown] = attrs.field(factory=list)
    failures: list[str] = attrs.field(factory=list)
    _context: ssl.SSLContext | None = None  # none before the first installation

    @property
    def paths(self) -> Paths:
        """Where its certificate's files are."""
        return paths_of(Common(certificate_dir=self.agent.certificates), f"{ISSUER}/{self.domain}")

    @property
    def switched_at(self) -> float:
        """When what is installed came to be what the names lead to, in Unix seconds: the last rename of the link."""
        return self.paths.current.lstat().st_ctime

    async def serial(self) -> str:
        """Which certificate a client is shown now. Raises OSError, trio.BrokenResourceError and trio.TooSlowError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with trio.fail_after(_HANDSHAKE):
            stream = await trio.open_ssl_over_tcp_stream(
                LOOPBACK, self.port, ssl_context=context, https_compatible=True
            )
            async with stream:
                await stream.do_handshake()
                der = stream.getpeercert(binary_form=True)
        return f"{x509.load_der_x509_certificate(der).serial_number:x}"

    async def obey(self, pipe: trio.lowlevel.FdStream) -> None:
        """Load whenever something comes through the pipe, and see what a client is shown then."""
        async for _ in pipe:
            try:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.paths.certificate, self.paths.key)
                self._context = context
                serial = await self.serial()
            except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            else:
                self.shown.append(Shown(serial=serial, at=SystemClock().now().timestamp()))

    async def greet(self, stream: trio.SocketStream) -> None:
        """Shake hands with a client."""
        with trio.move_on_after(_HANDSHAKE), suppress(trio.BrokenResourceError):
            if self._context is not None:
                tls = trio.SSLStream(stream, self._context, server_side=True, https_compatible=True)
                await tls.do_handshake()
                await tls.receive_some(1)  # until the client has gone
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def tended_host(agent: Agent, domain: str) -> AsyncIterator[TendedHost]:
    """Configure an agent for one certificate, and serve that for the length of a block. The agent does not run yet."""
    listeners = await trio.open_tcp_listeners(0, host=LOOPBACK)
    host = TendedHost(agent=agent, domain=domain, port=listeners[0].socket.getsockname()[1])
    told = agent.folder / "load"
    os.mkfifo(told)
    agent.configure(
        {"domain": domain, "issuer": ISSUER, "bundle": True, "check": f"{LOOPBACK}:{host.port}"},
        cmd_enabled=True,
        cmd_shell=True,
        post_cmd_run=f"echo >{told}",
    )
    # Open for writing too: otherwise it would end with the first command that has written.
    async with (
        trio.lowlevel.FdStream(os.open(told, os.O_RDWR | os.O_NONBLOCK)) as pipe,
        background(partial(trio.serve_listeners, host.greet, listeners), partial(host.obey, pipe)),
    ):
        yield host
