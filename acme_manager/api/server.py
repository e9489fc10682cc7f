"""Sockets, TLS and the life of the HTTP server."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from quart_trio import QuartTrio

from acme_manager.api.acme_tls import Certificates, is_validation, read_hello, show_certificate
from acme_manager.api.connection import Connection, Context, Limits
from acme_manager.api.tls import server_context, wrong_flag
from acme_manager.config.model import Flags
from acme_manager.structure import lone_error

Handler = Callable[[Any], Awaitable[None]]

_API, _TLS_ALPN = "-server.listen-address", "-server.tls-alpn-address"
_MAX_HEAD = 32 * 1024
_BACKLOG = 1024


async def serve(
    app: QuartTrio,
    flags: Flags,
    stopping: trio.Event,
    *,
    validation: Certificates,
    limits: Limits | None = None,
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stopping` is set, then answer what is in flight, at most for `limits.drain` seconds.

    `validation` has the certificates that prove names to CAs, for where we speak TLS (tls-alpn-01).
    Reports the URLs it listens at. Raises ConfigInvalid when it can't listen there or can't use the TLS files.
    """
    context = Context(limits or limits_of(flags))
    config = _hypercorn_config(context.limits)
    tls = server_context(flags)
    serve_http = partial(_serve_connection, ASGIWrapper(app), config, context, tls)
    by_protocol = partial(_serve_by_protocol, validation, context.limits.header)
    listeners = await _listen(_API, flags.listen_address)
    doors: list[tuple[Handler, list[trio.SocketListener]]] = [
        (serve_http if tls is None else partial(by_protocol, serve_http), listeners)
    ]
    if flags.tls_alpn_address:
        validate = partial(by_protocol, trio.aclose_forcefully)
        doors.append((validate, await _listen(_TLS_ALPN, flags.tls_alpn_address)))
    urls = [f"{'https' if tls else 'http'}://{_authority(one.socket.getsockname())}" for one in listeners]
    with lone_error():
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                for handler, sockets in doors:
                    accepting.start_soon(partial(trio.serve_listeners, handler, sockets, handler_nursery=connections))
                task_status.started(urls)
                await stopping.wait()
                accepting.cancel_scope.cancel(reason="the server stops")
            connections.cancel_scope.deadline = await context.stop()


async def _serve_connection(
    app: ASGIWrapper, config: Config, context: Context, tls: ssl.SSLContext | None, stream: Any
) -> None:
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
    await Connection(app, config, context, stream).run()


async def _serve_by_protocol(
    validation: Certificates, within: float, others: Handler, stream: trio.SocketStream
) -> None:
    """Show a CA that validates a name (tls-alpn-01) the certificate it wants to see; the others are served."""
    begun = None
    with trio.move_on_after(within), suppress(trio.BrokenResourceError):
        begun = await read_hello(stream)
    if begun is None:
        await trio.aclose_forcefully(stream)
        return
    hello, replayed = begun
    if is_validation(hello):
        await show_certificate(hello, replayed, validation)
    else:
        await others(replayed)


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


async def _listen(flag: str, address: str) -> list[trio.SocketListener]:
    host, port = parse_address(address, flag)
    try:
        return list(await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG))
    except OSError as error:
        raise wrong_flag(flag, f"can't listen on '{address}': {error}") from error


def parse_address(text: str, flag: str = _API) -> tuple[str | None, int]:
    """Read `:8989`, `host:port` or `[v6]:port`; no host is every interface. Raises ConfigInvalid.

    Port 0 takes a free one; on every interface it is then a free one of IPv4's, as each family would get its own.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = bare != host
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or (":" in host and not bracketed):
        raise wrong_flag(flag, f"'{text}' is no address like ':8989', 'host:8989' or '[::1]:8989'")
    if not bare:
        return (None, int(port)) if int(port) else ("0.0.0.0", 0)  # noqa: S104 that is what it means
    return bare, int(port)


def _authority(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
