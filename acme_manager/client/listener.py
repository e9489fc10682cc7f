"""`/metrics` of the agent, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from acme_manager.client.flags import ClientFlags

_log = structlog.get_logger(__name__)
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


async def serve_metrics(flags: ClientFlags, registry: CollectorRegistry, stopping: trio.Event) -> None:
    """Serve until `stopping`. An address that is taken, say by a server on this host, must not keep certificates from
    being installed: it is an error in the log."""
    if not flags.listen_address:
        return
    config = Config()
    config.certfile, config.keyfile = flags.tls_cert_file or None, flags.tls_key_file or None
    config.accesslog, config.errorlog = None, logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.keep_alive_timeout = float(flags.http_read_timeout)
    config.read_timeout = flags.http_read_header_timeout
    host, _, port = flags.listen_address.rpartition(":")
    try:
        # Hypercorn would leave its socket open when it can't bind it.
        listeners = await trio.open_tcp_listeners(int(port), host=host.strip("[]") or None)
        config.bind = [f"fd://{one.socket.detach()}" for one in listeners]
        await serve(_app(registry), config, shutdown_trigger=stopping.wait, mode="asgi")
    except (OSError, ValueError, ExceptionGroup) as error:
        _log.error("metrics are not served", address=flags.listen_address, err=str(error))


def _app(registry: CollectorRegistry) -> Callable[..., Awaitable[None]]:
    async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "http":
            found = scope["path"] == "/metrics" and scope["method"] in {"GET", "HEAD"}
            body = generate_latest(registry) if found else b"not found, there is only /metrics\n"
            headers = [(b"content-type", _TEXT), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app
