"""Renewal information (RFC 9773) for a CA without it: its directory with one entry more, and windows that tests move.

Whatever the directory names is the CA's own; only what is asked of a directory and of windows comes here. Orders name
what they replace; Pebble 2.4 ignores members of an order that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import httpx

from tests.parts import tls
from tests.parts.faults import Reply, Request, faulty_server

_PATH = "/renewal-info/"
_DAY = timedelta(days=1)


@attrs.define(kw_only=True)
class Windows:
    """What is answered: by certificates' names there, a window long before today once `move` was called for them."""

    directory: str = ""
    asked: set[str] = attrs.field(factory=set)
    moved: set[str] = attrs.field(factory=set)

    def move(self) -> None:
        """The CA is about to revoke everything that it has been asked about so far."""
        self.moved |= self.asked

    def window(self, name: str, now: datetime) -> dict[str, str]:
        """The window of a certificate."""
        self.asked.add(name)
        start = now - 2 * _DAY if name in self.moved else now + 60 * _DAY
        return {"start": start.isoformat(), "end": (start + _DAY).isoformat()}


@asynccontextmanager
async def ari_front(directory: str) -> AsyncIterator[Windows]:
    """Stand before a CA whose certificate for TLS is of our test CA."""
    windows = Windows()
    async with httpx.AsyncClient(verify=tls.client_context(), trust_env=False) as client:

        async def answer(request: Request) -> Reply:
            headers = ((b"Content-Type", b"application/json"),)
            if request.target.startswith(_PATH):
                now = datetime.now(UTC)  # noqa: TID251 what a CA sees
                document = {"suggestedWindow": windows.window(request.target.removeprefix(_PATH), now)}
                return Reply(
                    status=200, headers=(*headers, (b"Retry-After", b"21600")), body=json.dumps(document).encode()
                )
            if request.target != "/dir":
                return Reply(status=404)
            found = (await client.get(directory)).raise_for_status().json()
            document = found | {"renewalInfo": windows.directory.removesuffix("/dir") + _PATH.rstrip("/")}
            return Reply(status=200, headers=headers, body=json.dumps(document).encode())

        async with faulty_server(answer, secure=True) as server:
            windows.directory = f"{server.url}/dir"
            yield windows
