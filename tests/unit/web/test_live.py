"""The stream that open pages follow, over a real connection: what happens is told while the stream is open."""

from __future__ import annotations

import trio

from tests.unit.api.served import SOON, open_server


async def test_a_change_is_told_while_the_stream_is_open() -> None:
    async with open_server() as server:
        connection, received = await server.connect(), b""
        await connection.send_all(b"GET /ui/events HTTP/1.1\r\nHost: here\r\nX-API-Key: admin\r\n\r\n")

        async def until(words: bytes) -> None:
            nonlocal received
            while words not in received:
                received += await connection.receive_some()

        with trio.fail_after(SOON):
            await until(b"retry: 500\n\n")
            server.api.services.signals.announce("cluster")
            await until(b"event: changed\ndata: cluster\n\n")
        assert b"content-type: text/event-stream" in received.lower()
