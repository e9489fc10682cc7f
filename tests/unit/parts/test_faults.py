"""The proxy that other tests believe: it must break exactly what it was told to break."""

from __future__ import annotations

from collections.abc import AsyncIterator

import h11
import httpx
import pytest
import trio

from acme_manager.structure import background
from tests.parts import tls
from tests.parts.faults import Answer, Cut, Delay, FaultProxy, HangUp, Hold, Reply, SpoilNonce, busy, fault_proxy


class Upstream:
    """A server that answers every request with its line, a nonce, and how many it has had."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.url = ""

    async def answer(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                line = f"{event.method.decode()} {event.target.decode()}"
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self.requests.append(line)
                text = f"{line} {body.decode()}".strip().encode()
                headers = [("Replay-Nonce", "real"), ("Content-Length", str(len(text)))]
                for part in (h11.Response(status_code=200, headers=headers), h11.Data(data=text), h11.EndOfMessage()):
                    await stream.send_all(connection.send(part) or b"")
                connection.start_next_cycle()
                body = b""
            else:
                return


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"

    async def serve() -> None:
        await trio.serve_listeners(server.answer, listeners)

    async with background(serve):
        yield server


@pytest.fixture
async def proxy(upstream: Upstream) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(upstream.url) as running:
        yield running


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=proxy.url, trust_env=False, verify=False) as made:
        yield made


async def test_without_a_plan_requests_pass_unchanged(
    proxy: FaultProxy, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    for number in range(3):
        answer = await client.post(f"/a?n={number}", content=b"body")
        assert (answer.status_code, answer.text) == (200, f"POST /a?n={number} body")
        assert answer.headers["Replay-Nonce"] == "real"
    assert upstream.requests == ["POST /a?n=0", "POST /a?n=1", "POST /a?n=2"]
    assert [request.body for request in proxy.seen] == [b"body"] * 3


async def test_it_speaks_tls_with_a_certificate_of_the_test_ca(upstream: Upstream) -> None:
    async with (
        fault_proxy(upstream.url, secure=True) as proxy,
        httpx.AsyncClient(verify=tls.client_context(), trust_env=False) as client,
    ):
        assert (await client.get(f"{proxy.url}/a")).text == "GET /a"


async def test_an_answer_takes_as_many_requests_as_planned_and_only_those_that_match(
    proxy: FaultProxy, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    proxy.plan(busy(retry_after="7"), on="POST /order", times=2)
    seen = [(await client.request(method, path)).status_code for method, path in (
        ("POST", "/order"), ("GET", "/order"), ("POST", "/order"), ("POST", "/order"),
    )]  # fmt: skip
    assert seen == [503, 200, 503, 200]
    assert upstream.requests == ["GET /order", "POST /order"]
    assert proxy.count("POST /order") == 3


async def test_busy_says_when_to_come_back(proxy: FaultProxy, client: httpx.AsyncClient) -> None:
    proxy.plan(busy(retry_after="7"))
    assert (await client.get("/")).headers["Retry-After"] == "7"


@pytest.mark.parametrize(("after", "heard"), [(False, []), (True, ["GET /a"])])
async def test_a_hang_up_gives_no_answer_before_or_after_the_server_did_its_part(
    proxy: FaultProxy, upstream: Upstream, client: httpx.AsyncClient, after: bool, heard: list[str]
) -> None:
    proxy.plan(HangUp(after=after))
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/a")
    assert upstream.requests == heard
    assert (await client.get("/b")).status_code == 200


async def test_a_delay_without_end_never_answers(proxy: FaultProxy, client: httpx.AsyncClient) -> None:
    proxy.plan(Delay())
    with pytest.raises(httpx.ReadTimeout):
        await client.get("/a", timeout=0.1)
    assert proxy.count("GET /a") == 1


async def test_a_short_delay_answers_late(proxy: FaultProxy, client: httpx.AsyncClient) -> None:
    proxy.plan(Delay(0.05))
    before = trio.current_time()
    assert (await client.get("/a")).text == "GET /a"
    assert trio.current_time() - before >= 0.05


@pytest.mark.parametrize("after", [False, True])
async def test_a_hold_stops_a_request_until_it_is_released(
    proxy: FaultProxy, upstream: Upstream, client: httpx.AsyncClient, after: bool
) -> None:
    hold = Hold(after=after)
    proxy.plan(hold, on="/held")
    answers: list[str] = []

    async def ask() -> None:
        answers.append((await client.get("/held")).text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        with trio.fail_after(5):
            await hold.reached.wait()
        assert (answers, upstream.requests) == ([], ["GET /held"] if after else [])
        assert (await client.get("/other")).text == "GET /other"
        hold.release.set()
    assert answers == ["GET /held"]
    assert upstream.requests.count("GET /held") == 1


async def test_a_cut_body_is_noticed_by_the_client(proxy: FaultProxy, client: httpx.AsyncClient) -> None:
    proxy.plan(Cut(2))
    with pytest.raises(httpx.RemoteProtocolError, match="received 2 bytes, expected 6"):
        await client.get("/a")


async def test_a_spoiled_nonce_is_not_the_servers(proxy: FaultProxy, client: httpx.AsyncClient) -> None:
    proxy.plan(SpoilNonce())
    assert (await client.get("/a")).headers.get_list("Replay-Nonce") == ["c3BvaWxlZA"]
    assert (await client.get("/a")).headers["Replay-Nonce"] == "real"


async def test_healing_drops_every_plan(proxy: FaultProxy, client: httpx.AsyncClient) -> None:
    proxy.plan(Answer(500), times=99)
    proxy.heal()
    assert (await client.get("/a")).status_code == 200


async def test_a_fault_of_the_tests_own_fits_in(proxy: FaultProxy, client: httpx.AsyncClient) -> None:
    class Teapot:
        async def apply(self, forward: object) -> Reply:
            return Reply(status=418)

    proxy.plan(Teapot())
    assert (await client.get("/a")).status_code == 418


async def test_a_dead_upstream_looks_like_a_closed_connection(upstream: Upstream) -> None:
    async with fault_proxy("http://127.0.0.1:1") as proxy, httpx.AsyncClient(trust_env=False, verify=False) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(proxy.url)
