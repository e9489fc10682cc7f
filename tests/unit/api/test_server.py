from __future__ import annotations

import ssl
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import h2.config
import h2.connection
import httpx
import pytest
import trio
import trio.testing
import trustme
from hypercorn.config import Config
from hypercorn.trio import serve as stock_serve

from acme_manager.api.app import ApiSettings
from acme_manager.api.connection import Limits
from acme_manager.api.server import limits_of, parse_address, serve
from acme_manager.config.model import Flags
from acme_manager.errors import ConfigInvalid
from tests.unit.api.served import SOON, no_names, open_server
from tests.unit.api.world import ADMIN, open_api

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
QUICK = 0.3  # seconds; the limit under test


async def closed_by_server(stream: trio.SocketStream) -> bytes:
    """What the server sent before it closed; fails if it does not close."""
    received = b""
    with trio.fail_after(SOON):
        try:
            while data := await stream.receive_some(65536):
                received += data
        except trio.BrokenResourceError:
            pass
    return received


async def read_head(stream: trio.SocketStream) -> bytes:
    received = b""
    with trio.fail_after(SOON):
        while b"Server is healthy" not in received:
            data = await stream.receive_some(65536)
            assert data
            received += data
    return received


async def test_answers_carry_no_server_name() -> None:
    async with open_server() as server, server.client() as client:
        answer = await client.get("/health")
        assert answer.text == "Server is healthy"
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":8989", (None, 8989)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:443", ("::1", 443)),
        (":0", ("0.0.0.0", 0)),
    ],
)
def test_addresses_are_read_as_go_reads_them(text: str, expected: tuple[str | None, int]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "8989", "host", "host:", ":x", ":70000", "::1:443", ":-1"])
def test_a_bad_address_names_its_flag(text: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"-server\.listen-address: '.*' is no address like ':8989'"):
        parse_address(text)


async def test_a_port_that_is_taken_names_its_flag() -> None:
    async with open_server() as server, open_api() as api:
        flags = Flags(listen_address=server.url.partition("//")[2])
        with pytest.raises(ConfigInvalid, match=r"-server\.listen-address: can't listen on"):
            await serve(api.app, flags, trio.Event(), validation=no_names)


def test_limits_come_from_the_flags_and_zero_is_none() -> None:
    assert limits_of(Flags()) == Limits(header=10.0, idle=300.0)
    assert limits_of(Flags(http_read_header_timeout=0, http_read_timeout=7)) == Limits(header=7.0, idle=7.0)
    assert limits_of(Flags(http_read_header_timeout=0, http_read_timeout=0)).idle == float("inf")


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /health HTTP/1.1\r\nHost: x\r\n", HEALTH + b"GET /hea"])
async def test_a_client_that_does_not_finish_its_head_is_cut(sent: bytes) -> None:
    async with open_server(Limits(header=QUICK)) as server:
        stream = await server.connect()
        if sent:
            await stream.send_all(sent)
        received = await closed_by_server(stream)
        assert (b"Server is healthy" in received) == sent.startswith(HEALTH)


async def test_a_head_that_comes_byte_by_byte_gains_no_time_by_it() -> None:
    async with open_server(Limits(header=QUICK)) as server, trio.open_nursery() as nursery:
        stream = await server.connect()

        async def drip() -> None:
            for byte in HEALTH * 100:
                await stream.send_all(bytes([byte]))
                await trio.sleep(QUICK / 10)

        async def reader() -> None:
            assert await closed_by_server(stream) == b""
            nursery.cancel_scope.cancel()

        nursery.start_soon(reader)
        await drip()
        pytest.fail("the server took all of it")


async def test_idle_connections_are_closed_after_a_while_and_not_before() -> None:
    async with open_server(Limits(header=QUICK, idle=4 * QUICK)) as server:
        stream = await server.connect()
        await stream.send_all(HEALTH)
        await read_head(stream)
        await trio.sleep(2 * QUICK)
        await stream.send_all(HEALTH)
        await read_head(stream)
        assert await closed_by_server(stream) == b""


async def test_fifty_idle_connections_do_not_hold_up_a_stop() -> None:
    async with open_server(Limits(drain=60)) as server:
        streams = [await server.connect() for _ in range(50)]
        for stream in streams:
            await stream.send_all(HEALTH)
            await read_head(stream)
        server.stopping.set()
        with trio.fail_after(SOON):
            await server.stopped.wait()
        for stream in streams:
            assert await closed_by_server(stream) == b""


async def test_an_answer_without_a_body_is_sent_too() -> None:
    async with open_server() as server, server.client() as client:
        assert (await client.head("/health")).headers["Content-Length"] == "17"
        deleted = await client.delete("/api/v1/token/t-alice-", headers=ADMIN)
        assert deleted.status_code == 404
        server.api.token()
        assert (await client.delete("/api/v1/token/t-alice-", headers=ADMIN)).status_code == 204
        assert len((await client.get("/swagger/swagger-ui-bundle.js")).content) > 1_000_000


class Slow:
    """Certificates whose reading takes until it is let go."""

    def __init__(self) -> None:
        self.started, self.go, self.cancelled = trio.Event(), trio.Event(), trio.Event()

    async def get(self, id: Any) -> Any:
        self.started.set()
        try:
            await self.go.wait()
        except trio.Cancelled:
            self.cancelled.set()
            raise
        raise LookupError(id)


async def test_a_request_in_flight_is_answered_before_the_stop() -> None:
    slow = Slow()
    async with open_server(Limits(drain=60), replaced={"certificates": slow}) as server:
        stream = await server.connect()
        bearer = server.api.token()["Authorization"].encode()
        await stream.send_all(
            b"GET /api/v1/certificate/a HTTP/1.1\r\nHost: x\r\nAuthorization: " + bearer + b"\r\n\r\n"
        )
        await slow.started.wait()
        server.stopping.set()
        await trio.testing.wait_all_tasks_blocked(0.05)
        with pytest.raises(OSError, match="all attempts to connect"):
            await server.connect()
        slow.go.set()
        received = await closed_by_server(stream)
        assert received.startswith(b"HTTP/1.1 500 ")
        assert b"internal-error" in received


async def test_a_request_that_never_ends_delays_a_stop_by_the_drain_time_only() -> None:
    slow = Slow()
    async with open_server(Limits(drain=QUICK), replaced={"certificates": slow}) as server:
        stream = await server.connect()
        bearer = server.api.token()["Authorization"].encode()
        await stream.send_all(
            b"GET /api/v1/certificate/a HTTP/1.1\r\nHost: x\r\nAuthorization: " + bearer + b"\r\n\r\n"
        )
        await slow.started.wait()
        server.stopping.set()
        with trio.fail_after(SOON):
            await server.stopped.wait()
        assert slow.cancelled.is_set()


async def test_a_client_that_hangs_up_cancels_its_read() -> None:
    slow = Slow()
    async with open_server(replaced={"certificates": slow}) as server:
        stream = await server.connect()
        bearer = server.api.token()["Authorization"].encode()
        await stream.send_all(
            b"GET /api/v1/certificate/a HTTP/1.1\r\nHost: x\r\nAuthorization: " + bearer + b"\r\n\r\n"
        )
        await slow.started.wait()
        await stream.aclose()
        with trio.fail_after(SOON):
            await slow.cancelled.wait()


@pytest.mark.parametrize("limits", [Limits(write=QUICK), Limits(write=60, drain=QUICK)], ids=["write", "drain"])
async def test_a_client_that_does_not_take_its_answer_is_cut(limits: Limits) -> None:
    async with open_server(limits, ApiSettings(response_timeout=60)) as server:
        stream = await server.connect()
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await stream.send_all(b"GET /swagger/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        await trio.sleep(2 * limits.write if limits.write < 1 else QUICK)
        server.stopping.set()
        with trio.fail_after(SOON):
            await server.stopped.wait()
        await stream.aclose()


async def test_a_connection_that_its_client_closed_is_forgotten_at_once() -> None:
    async with open_server(Limits(idle=600, drain=600)) as server:
        stream = await server.connect()
        await stream.send_all(HEALTH)
        await read_head(stream)
        await stream.send_eof()
        assert await closed_by_server(stream) == b""


async def test_a_body_that_is_too_large_is_refused_announced_or_not() -> None:
    async with open_server(settings=ApiSettings(max_body=1000)) as server, server.client() as client:
        announced = await client.post("/api/v1/token", content=b"x" * 1001, headers=ADMIN)
        assert (announced.status_code, announced.json()["type"]) == (413, "/problems/body-too-large")
        assert (await client.post("/api/v1/token", content=b"x" * 1000, headers=ADMIN)).status_code == 400

        stream = await server.connect()
        await stream.send_all(
            b"POST /api/v1/token HTTP/1.1\r\nHost: x\r\nX-API-Key: admin\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"64\r\n%b\r\n" % (b"x" * 100) * 30
        )
        assert (await closed_by_server(stream)).startswith(b"HTTP/1.1 413 ")


async def test_a_large_body_that_nobody_reads_does_not_keep_the_connection() -> None:
    async with open_server(Limits(drain=60)) as server:
        stream = await server.connect()
        head = b"POST /api/v1/token HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(head + b"x" * 3_000_000)

            nursery.start_soon(send)
            assert (await closed_by_server(stream)).startswith(b"HTTP/1.1 401 ")
        server.stopping.set()
        with trio.fail_after(SOON):
            await server.stopped.wait()


async def test_a_body_that_does_not_arrive_in_time_is_a_408() -> None:
    async with open_server(settings=ApiSettings(body_timeout=QUICK)) as server:
        stream = await server.connect()
        await stream.send_all(
            b"POST /api/v1/token HTTP/1.1\r\nHost: x\r\nX-API-Key: admin\r\nContent-Length: 99\r\n\r\n{"
        )
        assert (await closed_by_server(stream)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000, b"431"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /h\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    ],
)
async def test_what_is_not_http_is_refused(sent: bytes, status: bytes) -> None:
    async with open_server() as server:
        stream = await server.connect()
        await stream.send_all(sent)
        assert (await closed_by_server(stream)).startswith(b"HTTP/1.1 " + status)


async def test_an_error_inside_one_connection_leaves_the_others_alone() -> None:
    async with open_server() as server, server.client() as client:
        # Hypercorn decodes an HTTP/2 path as ASCII and does not catch what that raises.
        connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        connection.initiate_connection()
        head: list[tuple[str, str | bytes]] = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "x"),
            (":path", b"/\xff"),
        ]
        connection.send_headers(1, head, end_stream=True)
        stream = await server.connect()
        await stream.send_all(connection.data_to_send())
        await closed_by_server(stream)
        assert (await client.get("/health")).status_code == 200


@pytest.fixture
def ca(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = authority.issue_cert("127.0.0.1")
    server.cert_chain_pems[0].write_to_path(str(tmp_path / "server.pem"))
    server.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    return authority


def tls_flags(folder: Path, **more: Any) -> Flags:
    return Flags(tls_cert_file=str(folder / "server.pem"), tls_key_file=str(folder / "server.key"), **more)


async def test_tls_serves_those_that_trust_it_and_survives_nonsense(ca: trustme.CA, tmp_path: Path) -> None:
    trust = ssl.create_default_context()
    ca.configure_trust(trust)
    async with open_server(flags=tls_flags(tmp_path)) as server, server.client(verify=trust) as client:
        assert server.url.startswith("https://")
        stream = await server.connect()
        await stream.send_all(HEALTH)
        await closed_by_server(stream)
        assert (await client.get("/health")).status_code == 200


async def test_with_a_client_ca_only_its_clients_get_in(ca: trustme.CA, tmp_path: Path) -> None:
    flags = tls_flags(tmp_path, tls_client_ca_file=str(tmp_path / "ca.pem"))
    stranger, known = ssl.create_default_context(), ssl.create_default_context()
    for context in (stranger, known):
        ca.configure_trust(context)
    ca.issue_cert("client@example.com").configure_cert(known)
    trustme.CA().issue_cert("client@example.com").configure_cert(stranger)
    async with open_server(flags=flags) as server:
        async with server.client(verify=known) as client:
            assert (await client.get("/health")).status_code == 200
        async with server.client(verify=stranger) as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/health")


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"tls_key_file": ""}, "-server.tls-cert-file"),
        ({"tls_cert_file": "/nowhere.pem"}, "-server.tls-cert-file"),
        ({"tls_client_ca_file": "/nowhere.pem"}, "-server.tls-client-ca-file"),
        ({"tls_cert_file": "", "tls_key_file": "", "tls_client_ca_file": "x"}, "-server.tls-client-ca-file"),
    ],
)
async def test_tls_files_that_can_not_be_used_name_their_flag(
    ca: trustme.CA, tmp_path: Path, change: dict[str, Any], flag: str
) -> None:
    async with open_api() as api:
        with pytest.raises(ConfigInvalid, match=flag.replace(".", r"\.")):
            await serve(api.app, attrs.evolve(tls_flags(tmp_path), **change), trio.Event(), validation=no_names)


async def test_under_hypercorn_s_own_worker_idle_connections_are_closed_too() -> None:
    config = Config()
    config.bind, config.errorlog, config.keep_alive_timeout = ["127.0.0.1:0"], None, QUICK
    stop = trio.Event()
    async with open_api() as api, trio.open_nursery() as nursery:
        start = partial(stock_serve, api.app, config, shutdown_trigger=stop.wait)
        (url,) = await nursery.start(start)
        stream = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
        async with stream:
            await stream.send_all(HEALTH)
            await read_head(stream)
            assert await closed_by_server(stream) == b""
        stop.set()
