"""The stream that open pages follow, over a real connection: what happens is told while the stream is open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import trio

from acme_manager.api.connection import Limits
from acme_manager.services.signals import TOPICS
from acme_manager.web import live
from acme_manager.web.site import HEADERS
from tests.unit.api.served import SOON, Server, open_server
from tests.unit.api.world import ADMIN
from tests.unit.services.cataloguing import certificate


@attrs.define
class Stream:
    """What comes, event by event: the id, and the topics."""

    connection: trio.SocketStream
    received: bytes = b""

    async def until(self, words: bytes) -> str:
        """Everything up to there; or, when the server has closed before, all there was."""
        while words not in self.received:
            more = await self.connection.receive_some()
            if not more:
                break
            self.received += more
        before, _, self.received = self.received.partition(words)
        return before.decode("latin-1")

    async def next(self) -> tuple[str, str]:
        event = await self.until(b"\n\n")
        if "data: " not in event:
            return "", "the end"
        return event.partition("id: ")[2].partition("\n")[0], event.partition("data: ")[2]


@asynccontextmanager
async def following(server: Server, headers: Mapping[str, str], query: str = "") -> AsyncIterator[Stream]:
    with trio.fail_after(SOON):
        async with await server.connect() as connection:
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            request = f"GET /ui/events{query} HTTP/1.1\r\nHost: here\r\n{head}\r\n"
            await connection.send_all(request.encode("latin-1"))
            stream = Stream(connection)
            head = (await stream.until(b"\r\n\r\n")).lower()
            assert head.startswith("http/1.1 200")
            assert "content-type: text/event-stream" in head
            assert not [one for one in HEADERS.items() if f"{one[0]}: {one[1]}".lower() not in head]
            await stream.until(b"retry: 500\n\n")
            yield stream


async def streams_end() -> None:
    """Wait until no stream holds a place."""
    with trio.fail_after(SOON):
        while live._open_streams.borrowed_tokens:  # noqa: ASYNC110 it is the server's
            await trio.sleep(0.01)


async def test_a_change_is_told_while_the_stream_is_open_and_only_to_those_whom_it_concerns() -> None:
    async with open_server() as server:
        signals, state = server.api.services.signals, server.api.world.state
        alice, bob = server.api.token(), server.api.token(username="bob")
        async with following(server, ADMIN) as admin, following(server, alice) as hers, following(server, bob) as his:
            state.publish(certificate("a.example", "bob"))
            assert (await admin.next())[1] == (await his.next())[1] == "certificates"
            signals.announce("cluster")
            assert (await hers.next())[1] == "cluster"  # nothing before that: it was another's
            assert (await admin.next())[1] == "cluster"


async def test_a_browser_that_comes_back_is_told_what_it_has_missed() -> None:
    async with open_server() as server:
        signals, epoch = server.api.services.signals, server.api.services.signals.epoch
        known = signals.mark
        signals.announce("issuers")
        for query, headers in (("", {"Last-Event-ID": known}), (f"?after={known}", {})):
            async with following(server, ADMIN | headers, query) as stream:
                assert await stream.next() == (signals.mark, "issuers")
        everything = (signals.mark, " ".join(sorted(TOPICS)))
        for unknown in ("another-5", f"{epoch}-", f"{epoch}--1", f"{epoch}-{'9' * 5000}", f"{epoch}-x", "\u00e9", "x"):
            async with following(server, ADMIN | {"Last-Event-ID": unknown}) as stream:
                assert await stream.next() == everything, unknown


async def test_an_orderly_stop_ends_open_streams_at_once() -> None:
    async with (
        open_server(Limits(drain=60)) as server,
        following(server, ADMIN) as stream,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(server.api.services.signals.close_when, server.stopping)
        server.stopping.set()
        assert (await stream.next())[1] == "the end"
        await server.stopped.wait()


async def test_who_leaves_gives_their_place_back_and_too_many_are_told_to_wait() -> None:
    async with open_server() as server:
        for _ in range(3):
            async with following(server, ADMIN):
                assert live._open_streams.borrowed_tokens == 1
            await streams_end()
        many, live._open_streams.total_tokens = live._open_streams.total_tokens, 1
        try:
            async with following(server, ADMIN), server.client() as client:
                refused = await client.get("/ui/events", headers=ADMIN)
                assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
            await streams_end()
            async with following(server, ADMIN):
                pass
        finally:
            live._open_streams.total_tokens = many
        await streams_end()


async def test_strangers_follow_nothing_and_a_head_holds_no_place() -> None:
    async with open_server() as server, server.client() as client:
        answer = await client.get("/ui/events", headers={"Accept": "text/event-stream"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "login?next=events")
        with trio.fail_after(SOON):
            assert (await client.head("/ui/events", headers=ADMIN)).status_code == 200
        await streams_end()


async def test_a_stream_ends_by_itself_and_says_before_that_it_is_there() -> None:
    async with open_server() as server:
        pieces = live._stream(server.api.services.signals, None, 10**9)
        limits, (live._LASTS, live._BEAT, live._PAUSE) = (live._LASTS, live._BEAT, live._PAUSE), (0.05, 0.01, 0.01)
        try:
            with trio.fail_after(SOON):
                said = [piece async for piece in pieces]
        finally:
            live._LASTS, live._BEAT, live._PAUSE = limits
        assert said[0] == b"retry: 500\n\n"
        assert set(said[1:]) == {b": still here\n\n"}
