"""Answers in memcached, where web servers look them up by path: nginx with `memcached_pass` and `$uri` as the key."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import structlog
import trio

from acme_manager.config.http_stores import Server, parse_server
from acme_manager.errors import ChallengeFailed
from acme_manager.http01.store import WELL_KNOWN
from acme_manager.structure import together

_log = structlog.get_logger(__name__)

_EXPIRY = 86400  # seconds: what is left behind goes by itself, but not before the longest order ends
_PATIENCE = 5.0  # seconds for one server
_LONGEST_LINE = 1024


@attrs.frozen
class Memcached:
    """Each answer on all of these servers."""

    servers: tuple[Server, ...]

    @classmethod
    def at(cls, place: Mapping[str, str]) -> Memcached:
        """The store that `place` describes. Raises ChallengeFailed."""
        try:
            return cls(tuple(map(parse_server, place.get("servers", "").split(","))))
        except ValueError as error:
            raise ChallengeFailed(f"a stored trace of an http-01 answer in memcached: {error}") from None

    def place(self) -> Mapping[str, str]:
        """See Store."""
        return {"servers": ",".join(map(_text, self.servers))}

    async def put(self, token: str, answer: str) -> None:
        """See Store. One server is enough: one that is down must not keep certificates from being renewed."""
        value = answer.encode()
        failures = await self._each(f"set {_key(token)} 0 {_EXPIRY} {len(value)}\r\n".encode() + value, {"STORED"})
        if len(failures) == len(self.servers):
            raise ChallengeFailed("; ".join(failures))
        for failure in failures:
            _log.warning("http-01 answer is not on every server", store="memcached", reason=failure)

    async def remove(self, token: str) -> None:
        """See Store."""
        failures = await self._each(f"delete {_key(token)}".encode(), {"DELETED", "NOT_FOUND"})
        if failures:
            raise ChallengeFailed("; ".join(failures))

    async def _each(self, command: bytes, good: set[str]) -> list[str]:
        """What went wrong, one sentence for each server."""

        async def one(server: Server) -> str:
            try:
                with trio.fail_after(_PATIENCE):
                    said = await _ask(server, command)
            except trio.TooSlowError:
                said = f"it did not answer within {_PATIENCE:g} s"
            except (OSError, trio.BrokenResourceError) as error:
                said = f"it can't be used: {error}"
            return "" if said in good else f"memcached server {_text(server)}: {said or 'it closed the connection'}"

        return [one for one in await together(one, self.servers) if one]


async def _ask(server: Server, command: bytes) -> str:
    """The first line of the answer to a command of memcached's text protocol."""
    async with await trio.open_tcp_stream(*server) as stream:
        await stream.send_all(command + b"\r\n")
        line = b""
        while b"\r\n" not in line and len(line) < _LONGEST_LINE:
            more = await stream.receive_some()
            if not more:
                break
            line += more
    return line.partition(b"\r\n")[0].decode(errors="replace")


def _key(token: str) -> str:
    return f"/{WELL_KNOWN}/{token}"


def _text(server: Server) -> str:
    host, port = server
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
