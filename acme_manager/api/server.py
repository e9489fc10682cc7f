"""Sockets, TLS and the life of the HTTP server."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from quart_trio import QuartTrio

from acme_manager.api.connection import Connection, Context, Limits
from acme_manager.api.tls import server_context, wrong_flag
from acme_manager.config.model import Flags
from acme_manager.structure import lone_error

Listener = trio.abc.Listener[trio.abc.Stream]

_MAX_HEAD = 32 * 1024
_BACKLOG = 1024


async def serve(
    app: QuartTrio,
    flags: Flags,
    stopping: trio.Event,
    *,
    limits: Limits | None = None,
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stopping` is set, then answer what is in flight, at most for `limits.drain` seconds.

    Reports the URLs it listens at. Raises ConfigInvalid when it can't listen there or can't use the TLS files.
    """
    context = Context(limits or limits_of(flags))
    config = _hypercorn_config(context.limits)
    listeners, urls = await _open_listeners(flags)
    handler = partial(_serve_connection, ASGIWrapper(app), config, context)
    with lone_error():
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(partial(trio.serve_listeners, handler, listeners, handler_nursery=connections))
                task_status.started(urls)
                await stopping.wait()
                accepting.cancel_scope.cancel(reason="the server stops")
            connections.cancel_scope.deadline = await context.stop()


async def _serve_connection(app: ASGIWrapper, config: Config, context: Context, stream: Any) -> None:
    await Connection(app, config, context, stream).run()


def limits_of(flags: Flags) -> Limits:
    """The limits that the flags set. 0 is no limit; as in Go, the longer time also bounds idleness."""
    read = float(flags.http_read_timeout) or inf
    return Limits(header=float(flags.http_read_header_timeout) or read, idle=read)


def _hypercorn_config(limits: Limits) -> Config:
    config = Config()
    config.accesslog = None  # observe.py writes a line per request
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.h11_max_incomplete_size = _MAX_HEAD
    config.h2_max_header_list_size = _MAX_HEAD
    config.ssl_handshake_timeout = limits.header
    # Beyond this number Hypercorn ends an HTTP/2 connection with its other requests unanswered.
    config.keep_alive_max_requests = 2**40
    return config


async def _open_listeners(flags: Flags) -> tuple[list[Listener], list[str]]:
    host, port = parse_address(flags.listen_address)
    context = server_context(flags)
    try:
        sockets = await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
    except OSError as error:
        raise wrong_flag("-server.listen-address", f"can't listen on '{flags.listen_address}': {error}") from error
    scheme = "http" if context is None else "https"
    urls = [f"{scheme}://{_authority(one.socket.getsockname())}" for one in sockets]
    if context is None:
        return list(sockets), urls
    return [trio.SSLListener(one, context, https_compatible=True) for one in sockets], urls


def parse_address(text: str) -> tuple[str | None, int]:
    """Read `:8989`, `host:port` or `[v6]:port`; no host is every interface. Raises ConfigInvalid.

    Port 0 takes a free one; on every interface it is then a free one of IPv4's, as each family would get its own.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = bare != host
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or (":" in host and not bracketed):
        raise wrong_flag("-server.listen-address", f"'{text}' is no address like ':8989', 'host:8989' or '[::1]:8989'")
    if not bare:
        return (None, int(port)) if int(port) else ("0.0.0.0", 0)  # noqa: S104 that is what it means
    return bare, int(port)


def _authority(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
