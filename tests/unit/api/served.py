"""The API behind a real socket: of a node in memory, or of a leader that only writes down what it is asked."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import trio
from quart import Response, request
from quart_trio import QuartTrio

from acme_manager.api.acme_tls import Certificates
from acme_manager.api.app import ApiSettings, PatientHTTPConnection
from acme_manager.api.connection import Limits
from acme_manager.api.server import serve
from acme_manager.config.model import Flags
from acme_manager.errors import ChallengeNotFound, NotLeader, Unavailable
from acme_manager.ring.alone import Alone
from tests.unit.api.world import Api, open_api

SOON = 5.0  # seconds; by then it must have happened, on a busy machine too


@attrs.frozen(kw_only=True)
class Serving:
    url: str
    stopping: trio.Event
    stopped: trio.Event
    streams: list[trio.SocketStream] = attrs.field(factory=list)

    @property
    def address(self) -> str:
        return self.url.partition("//")[2]

    async def connect(self) -> trio.SocketStream:
        """A bare connection, which ends with the server."""
        host, _, port = self.address.rpartition(":")
        self.streams.append(await trio.open_tcp_stream(host, int(port)))
        return self.streams[-1]

    def client(self, *, verify: ssl.SSLContext | bool = False, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, verify=verify, trust_env=False, timeout=SOON, **options)


async def no_names(asked: str) -> bytes:
    """What a server answers tls-alpn-01 with that is validating nothing."""
    raise ChallengeNotFound(asked)


@attrs.frozen(kw_only=True)
class Server(Serving):
    api: Api


@asynccontextmanager
async def serving(
    app: QuartTrio, flags: Flags | None = None, limits: Limits | None = None, validation: Certificates = no_names
) -> AsyncIterator[Serving]:
    """Serve on a free port of this machine, unless the flags name another address."""
    flags = flags or Flags()
    if flags.listen_address == Flags().listen_address:
        flags = attrs.evolve(flags, listen_address="127.0.0.1:0")
    stopping, stopped = trio.Event(), trio.Event()

    async def run(*, task_status: trio.TaskStatus[Any]) -> None:  # noqa: ASYNC128 `serve` calls started()
        await serve(
            app, flags, stopping, validation=validation, limits=limits or Limits(drain=2), task_status=task_status
        )
        stopped.set()

    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(run)
        server = Serving(url=url, stopping=stopping, stopped=stopped)
        try:
            yield server
        finally:
            for stream in server.streams:
                await trio.aclose_forcefully(stream)
            stopping.set()


@asynccontextmanager
async def open_server(
    limits: Limits | None = None, settings: ApiSettings | None = None, *, flags: Flags | None = None, **api: Any
) -> AsyncIterator[Server]:
    async with open_api(settings, flags=flags, **api) as opened, serving(opened.app, flags, limits) as served:
        yield Server(
            api=opened, url=served.url, stopping=served.stopping, stopped=served.stopped, streams=served.streams
        )


class Follower(Alone):
    """A cluster in which another node leads, or none does: `url` None."""

    def __init__(self, url: str | None = None, why: Unavailable | None = None) -> None:
        super().__init__("node-a")
        self.leading, self.url, self.leader_name = False, url, "node-b"
        self.why = why or NotLeader("no node leads yet")
        self.awaited: list[str] = []
        self.caught_up = trio.Event()
        self.caught_up.set()

    def leader(self) -> str | None:
        return self.name if self.leading else None if self.url is None else self.leader_name

    def leader_url(self) -> str | None:
        return self.url

    def why_not(self) -> Unavailable:
        return self.why

    async def wait_for(self, stamp: str) -> None:
        self.awaited.append(stamp)
        await self.caught_up.wait()


class Recorder:
    """A leader that writes down what it is asked, and answers what it is told to."""

    def __init__(self, answer: Callable[[], Awaitable[Response]] | None = None) -> None:
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.app = QuartTrio(__name__, static_folder=None)
        self.app.asgi_http_class = PatientHTTPConnection
        self.app.config["RESPONSE_TIMEOUT"] = SOON
        self._answer = answer
        self.app.before_request(self._record)

    async def _record(self) -> Response:
        self.scopes.append(request.scope)
        body = await request.get_data(as_text=False)
        assert isinstance(body, bytes)
        self.bodies.append(body)
        return Response(b"{}", 200) if self._answer is None else await self._answer()

    def headers(self, name: str) -> list[bytes]:
        """All values of a header in the latest request."""
        return [value for key, value in self.scopes[-1]["headers"] if key == name.lower().encode()]
