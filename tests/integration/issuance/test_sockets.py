"""What happens on the wire itself: connections that are kept, closed, or full; answers without beginning or end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from acme_manager.errors import IssuanceFailed, IssuerUnavailable
from tests.integration.issuance.helpers import opened

Talk = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def _server(talk: Talk) -> AsyncIterator[str]:
    """Serve on loopback; yields the URL of its directory."""

    async def handle(stream: trio.SocketStream) -> None:
        with trio.move_on_after(10):
            try:
                async with stream:
                    await talk(stream)
            except trio.BrokenResourceError:
                pass

    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/dir"
        nursery.cancel_scope.cancel()


async def test_an_answer_without_end_is_cut_off(tmp_path: Path) -> None:
    async def flood(stream: trio.SocketStream) -> None:
        await stream.receive_some(10_000)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            await stream.send_all(b" " * 65536)

    async with _server(flood) as url, opened(url, tmp_path) as issuer:
        with trio.fail_after(10), pytest.raises(IssuerUnavailable, match="more than 1048576 bytes"):
            await issuer.check()


async def test_a_kept_connection_that_the_ca_closes_is_replaced_without_a_pause(tmp_path: Path) -> None:
    body = b'{"newOrder": "http://127.0.0.1:1/o", "newAccount": "http://127.0.0.1:1/a"}'
    served = 0

    async def once(stream: trio.SocketStream) -> None:
        nonlocal served
        served += 1
        await stream.receive_some(10_000)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await stream.receive_some(10_000)  # the second request is read, and gets no answer

    async with _server(once) as url, opened(url, tmp_path) as issuer:
        client = issuer._client
        with trio.fail_after(5):
            await client.directory()
            await client.directory(fresh=True)
    assert served == 2


async def test_a_ca_that_never_answers_is_left_at_the_callers_deadline(tmp_path: Path) -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep(10)

    async with _server(silent) as url, opened(url, tmp_path) as issuer:
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.2):
            await issuer.check()


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b""])
async def test_what_is_no_http_is_told_after_the_retries(tmp_path: Path, answer: bytes) -> None:
    async def babble(stream: trio.SocketStream) -> None:
        await stream.receive_some(10_000)
        await stream.send_all(answer)

    async with _server(babble) as url, opened(url, tmp_path) as issuer:
        with trio.fail_after(10), pytest.raises((IssuerUnavailable, IssuanceFailed), match="GET http://127"):
            await issuer.check()


_DIRECTORY = b'{"newOrder": "http://127.0.0.1:1/o", "newAccount": "http://127.0.0.1:1/a"}'
_ANSWER = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b"


async def test_a_connection_is_used_again_until_the_ca_wants_it_closed(tmp_path: Path) -> None:
    served: list[int] = []

    async def thrice(stream: trio.SocketStream) -> None:
        served.append(0)
        while served[-1] < 3 and await stream.receive_some(10_000):
            served[-1] += 1
            last = b"Connection: close\r\n" if served[-1] == 3 else b""
            await stream.send_all(_ANSWER % (len(_DIRECTORY), last, _DIRECTORY))

    async with _server(thrice) as url, opened(url, tmp_path) as issuer:
        with trio.fail_after(5):
            for _ in range(4):
                await issuer._client.directory(fresh=True)
    assert served == [3, 1]


async def test_a_request_arrives_in_one_piece(tmp_path: Path) -> None:
    pieces: list[bytes] = []

    async def note(stream: trio.SocketStream) -> None:
        pieces.append(await stream.receive_some(10_000))
        await stream.send_all(_ANSWER % (0, b"", b""))

    async with _server(note) as url, opened(url, tmp_path) as issuer:
        with trio.fail_after(5):
            await issuer._client._transport.send("POST", url, b"a body")
    assert pieces[0].endswith(b"\r\n\r\na body")


async def test_no_more_than_eight_connections_are_open_at_once(tmp_path: Path) -> None:
    here, most = 0, 0
    full = trio.Event()

    async def hold(stream: trio.SocketStream) -> None:
        nonlocal here, most
        here += 1
        most = max(most, here)
        if here == 8:
            full.set()
        while await stream.receive_some(10_000):
            await full.wait()
            await stream.send_all(_ANSWER % (0, b"", b""))
        here -= 1

    async with _server(hold) as url, opened(url, tmp_path) as issuer:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(issuer._client._transport.send, "GET", url)
    assert most == 8
