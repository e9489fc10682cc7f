from __future__ import annotations

import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import structlog.testing
import trio
import trustme
from quart import Response

from acme_manager.api.app import ApiSettings
from acme_manager.api.forward import Waits
from acme_manager.api.relay import exchange
from acme_manager.config.model import Flags
from acme_manager.errors import NoQuorum, NotLeader, OutcomeUnknown, RateLimited, RingNotReady
from tests.parts.tls import authority, server_files
from tests.unit.api.served import SOON, Follower, Recorder, Server, open_server, serving
from tests.unit.api.world import ADMIN, open_api

BODY = {"domain": "a.example", "issuer": "test"}
QUICK = 0.3  # seconds; the limit under test
NOWHERE = "http://127.0.0.1:1"
IMPATIENT = Waits(leader=QUICK, pause=0.02)


@attrs.frozen
class Pair:
    """A node that does not lead, and the one that does."""

    follower: Server
    cluster: Follower
    leader: Server


@asynccontextmanager
async def pair(waits: Waits | None = None, **leader: Any) -> AsyncIterator[Pair]:
    async with (
        open_server(**leader) as second,
        open_server(replaced={"cluster": (cluster := Follower(second.url))}, waits=waits) as first,
    ):
        yield Pair(first, cluster, second)


@asynccontextmanager
async def follower(cluster: Follower, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with open_server(replaced={"cluster": cluster}, **options) as server, server.client() as client:
        yield client


def same(one: httpx.Response, other: httpx.Response) -> bool:
    """Whether two answers differ in nothing but what tells requests apart."""
    differing = {"date", "x-request-id", "x-acme-manager-stamp"}
    headers = [
        sorted(item for item in answer.headers.multi_items() if item[0] not in differing) for answer in (one, other)
    ]
    return one.status_code == other.status_code and headers[0] == headers[1] and one.content == other.content


async def test_every_write_is_done_by_the_leader_and_every_read_here() -> None:
    async with pair() as nodes, nodes.follower.client() as client:
        bearer = nodes.leader.api.token()
        created = await client.post("/api/v1/certificate", json=BODY, headers=bearer)
        assert (created.status_code, created.json()["domain"], created.headers["Owner"]) == (201, "a.example", "alice")
        changed = await client.put("/api/v1/certificate", json={**BODY, "labels": "a=b"}, headers=bearer)
        assert (changed.status_code, changed.json()["labels"]) == (200, "a=b")
        kept = nodes.leader.api.world.state.certificates
        assert [key for key, _ in kept.items()] == ["alice/test/a.example"]
        assert len(nodes.follower.api.world.state.certificates) == 0

        assert (await client.delete("/api/v1/certificate/test/a.example", headers=bearer)).status_code == 204
        assert len(kept) == 0
        named = await client.post("/api/v1/certificate", json={**BODY, "name": "web"}, headers=bearer)
        assert named.status_code == 201
        assert (await client.delete("/api/v1/certificate/web?revoke=true", headers=bearer)).status_code == 204
        assert len(nodes.leader.api.world.ca.revoked) == 1

        made = await client.post("/api/v1/token", json={"username": "bob", "scope": ["read"]}, headers=ADMIN)
        id = made.json()["id"]
        assert made.status_code == 201
        replaced = await client.put(
            "/api/v1/token", json={"id": id, "username": "bob", "scope": ["read"]}, headers=ADMIN
        )
        assert (replaced.status_code, replaced.json()["token"] == made.json()["token"]) == (200, False)
        assert nodes.leader.api.world.state.tokens.get(id) is not None
        assert (await client.get(f"/api/v1/token/{id}", headers=ADMIN)).status_code == 404
        assert (await client.delete(f"/api/v1/token/{id}", headers=ADMIN)).status_code == 204
        assert nodes.leader.api.world.state.tokens.get(id) is None


async def test_reads_need_no_leader() -> None:
    async with open_server(replaced={"cluster": Follower(NOWHERE)}) as server, server.client() as client:
        bearer = server.api.token()
        for path in ("/api/v1/certificate/metadata", "/api/v1/token/self", "/health", "/ready"):
            assert (await client.get(path, headers=bearer)).status_code == 200
        assert (await client.get("/api/v1/certificate/web", headers=bearer)).status_code == 404
        assert (await client.get("/api/v1/token", headers=ADMIN)).status_code == 200
        assert (await client.get("/.well-known/acme-challenge/x")).status_code == 404


async def test_an_answer_is_the_same_from_every_node() -> None:
    async with pair() as nodes, nodes.follower.client() as here, nodes.leader.client() as there:
        bearer = nodes.leader.api.token(username="zoé")
        assert (await there.post("/api/v1/certificate", json=BODY, headers=bearer)).status_code == 201
        calls: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/api/v1/certificate", {"json": BODY, "headers": bearer}),
            ("PUT", "/api/v1/certificate", {"json": BODY, "headers": bearer}),
            ("POST", "/api/v1/certificate", {"content": b"nonsense", "headers": bearer}),
            ("POST", "/api/v1/certificate", {"json": BODY}),
            ("DELETE", "/api/v1/certificate/none", {"headers": bearer}),
            ("POST", "/api/v1/token", {"json": {"domain": 7}, "headers": {"X-API-Key": "wrong"}}),
            ("POST", "/ring", {"data": {"forget": "node-9"}, "headers": ADMIN}),
        ]
        id = {"X-Request-ID": "same"}
        for method, path, options in calls:
            options["headers"] = {**options.get("headers", {}), **id}
            assert same(await here.request(method, path, **options), await there.request(method, path, **options))


async def test_the_leader_s_wish_to_be_left_alone_for_a_while_gets_through() -> None:
    class Limited:
        async def request(self, *_: Any) -> None:
            raise RateLimited("3 of 3 requests used", 41.2)

    async with pair(replaced={"certificates": Limited()}) as nodes, nodes.follower.client() as client:
        answer = await client.post("/api/v1/certificate", json=BODY, headers=nodes.leader.api.token())
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "42")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["detail"] == "3 of 3 requests used"


async def test_a_request_arrives_as_it_was_sent() -> None:
    recorder = Recorder()
    async with serving(recorder.app) as leader, open_server(replaced={"cluster": Follower(leader.url)}) as server:
        body = b'{"domain":"' + b"x" * 900_000 + b'"}'
        target = b"/api/v1/certificate/a%2Eb%20c/%C3%A9?revoke=true&x=%20&&y"
        head = (
            b"DELETE %b HTTP/1.1\r\nHost: public.example\r\nAuthorization: Bearer abc\r\n"
            b"X-Twice: 1\r\nX-Twice: \xe9\r\n"
            b"X-Request-ID: r1\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: keep-alive, X-Private\r\nX-Private: p\r\n"
            b"X-Acme-Manager-Stamp: forged\r\nX-Acme-Manager-Deadline: 33\r\nTE: trailers\r\nExpect: 100-continue\r\n"
            b"Content-Length: %d\r\n\r\n"
        )
        stream = await server.connect()
        await stream.send_all(head % (target, len(body)) + body)
        with trio.fail_after(SOON):
            received = b""
            while b"HTTP/1.1 200" not in received:
                received += await stream.receive_some(65536)
        (scope,) = recorder.scopes
        path, _, query = target.partition(b"?")
        assert (scope["method"], scope["raw_path"], scope["query_string"]) == ("DELETE", path, query)
        assert recorder.bodies == [body]
        assert recorder.headers("Authorization") == [b"Bearer abc"]
        assert recorder.headers("X-Twice") == [b"1", b"\xe9"]
        assert recorder.headers("X-Request-ID") == [b"r1"]
        assert recorder.headers("X-Forwarded-For") == [b"203.0.113.9, 127.0.0.1"]
        assert recorder.headers("Host") == [leader.address.encode()]
        assert recorder.headers("X-Acme-Manager-Hop") == [b"node-a"]
        assert 30 < float(recorder.headers("X-Acme-Manager-Deadline")[0]) <= 33
        for dropped in ("X-Private", "TE", "Expect", "Connection", "X-Acme-Manager-Stamp"):
            assert recorder.headers(dropped) == []


async def test_an_answer_comes_back_as_it_was_given() -> None:
    packed = gzip.compress(b"x" * 200_000)

    async def give() -> Response:
        response = Response(packed, 418, content_type="x/y; z=1")
        response.headers.add("Content-Encoding", "gzip")
        response.headers.add("Retry-After", "7")
        response.headers.add("Owner", "zoé")
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        response.headers.add("Connection", "close, X-Private")
        response.headers.add("X-Private", "p")
        return response

    async with serving(Recorder(give).app) as leader, follower(Follower(leader.url)) as client:
        async with client.stream("POST", "/api/v1/token", content=b"") as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
        assert (answer.status_code, raw) == (418, packed)
        assert [answer.headers[name] for name in ("Content-Type", "Retry-After", "Content-Encoding")] == [
            "x/y; z=1", "7", "gzip",
        ]  # fmt: skip
        assert answer.headers.get_list("Set-Cookie") == ["a=1", "b=2"]
        assert dict(answer.headers.raw)[b"owner"].decode() == "zoé"
        assert len(answer.headers.get_list("Date")) == 1
        assert "X-Private" not in answer.headers


async def test_an_http_2_request_is_passed_on_too() -> None:
    async with pair() as nodes, nodes.follower.client(http1=False, http2=True) as client:
        answer = await client.post("/api/v1/certificate", json=BODY, headers=nodes.leader.api.token())
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 201)


async def test_many_writes_share_the_connections() -> None:
    async with pair() as nodes, nodes.follower.client() as client:
        bearer = nodes.leader.api.token()
        statuses: list[int] = []

        async def write(number: int) -> None:
            body = {**BODY, "domain": f"n{number}.example"}
            statuses.append((await client.post("/api/v1/certificate", json=body, headers=bearer)).status_code)

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(write, number)
        assert statuses == [201] * 40


async def test_a_body_that_is_too_large_is_refused_before_it_travels() -> None:
    recorder = Recorder()
    async with (
        serving(recorder.app) as leader,
        follower(Follower(leader.url), settings=ApiSettings(max_body=1000)) as client,
    ):
        assert (await client.post("/api/v1/token", content=b"x" * 1001)).status_code == 413
        assert (await client.post("/api/v1/token", content=b"x" * 1000)).status_code == 200
        assert [len(body) for body in recorder.bodies] == [1000]


async def test_a_caller_that_hangs_up_reaches_the_leader() -> None:
    started, cancelled = trio.Event(), trio.Event()

    async def hang() -> Response:
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with serving(Recorder(hang).app) as leader, open_server(replaced={"cluster": Follower(leader.url)}) as server:
        stream = await server.connect()
        await stream.send_all(b"DELETE /api/v1/token/x HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(SOON):
            await started.wait()
            await stream.aclose()
            await cancelled.wait()


async def test_nodes_that_take_each_other_for_the_leader_pass_a_request_on_once() -> None:
    first, second = Follower(), Follower()
    async with (
        open_server(replaced={"cluster": second}, waits=IMPATIENT) as other,
        open_server(replaced={"cluster": first}, waits=IMPATIENT) as server,
        server.client() as client,
    ):
        first.url, second.url = other.url, server.url
        answer = await client.post("/api/v1/token", json={}, headers=ADMIN)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-leader")
        assert answer.json()["detail"] == "'node-b' does not lead any more"
        assert "Retry-After" in answer.headers
        marked = await client.post("/api/v1/token", json={}, headers={**ADMIN, "X-Acme-Manager-Hop": "node-z"})
        assert (marked.status_code, marked.headers["X-Acme-Manager-Hop"]) == (503, "refused")
        hops = {"method": "POST", "path": "/api/v1/token", "status_code": "503"}
        before = other.api.served("acme_manager_http_requests_total", **hops)
        assert before is not None
        assert server.api.served("acme_manager_http_requests_total", **hops) == 2  # none came back


@pytest.mark.parametrize(
    ("why", "type"),
    [
        (NoQuorum("1 of 3 voters in reach, 2 needed", 7), "no-quorum"),
        (RingNotReady("the members to join do not answer", 7), "ring-not-ready"),
    ],
)
async def test_a_node_without_a_leader_says_at_once_why(why: Any, type: str) -> None:
    async with follower(Follower(why=why), waits=Waits(leader=3600)) as client:
        answer = await client.post("/api/v1/certificate", json=BODY)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
        assert (answer.json()["type"], answer.json()["detail"]) == (f"/problems/{type}", str(why))


@pytest.mark.parametrize("url", [None, NOWHERE, "ftp://127.0.0.1", "http://[", "nonsense"])
async def test_a_leader_that_can_not_be_asked_is_a_503_after_a_while(url: str | None) -> None:
    async with follower(Follower(url), waits=IMPATIENT) as client:
        began = time.monotonic()
        answer = await client.post("/api/v1/certificate", json=BODY)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-leader")
        assert int(answer.headers["Retry-After"]) >= 1
        assert QUICK <= time.monotonic() - began < SOON
        assert ("no node leads" if url is None else "node-b") in answer.json()["detail"]


async def test_a_write_waits_for_the_next_leader() -> None:
    cluster = Follower(NOWHERE)
    async with open_server() as leader, follower(cluster, waits=Waits(leader=3600)) as client:
        bearer = leader.api.token()

        async def elect() -> None:
            await trio.sleep(QUICK)
            cluster.url = None
            await trio.sleep(QUICK)
            cluster.url = leader.url

        async with trio.open_nursery() as nursery:
            nursery.start_soon(elect)
            answer = await client.post("/api/v1/certificate", json=BODY, headers=bearer)
        assert answer.status_code == 201


async def test_the_next_leader_may_be_this_node_itself() -> None:
    cluster = Follower(NOWHERE)
    async with (
        open_server(replaced={"cluster": cluster}, waits=Waits(leader=3600)) as server,
        server.client() as client,
    ):
        bearer = server.api.token()

        async def elect() -> None:
            await trio.sleep(QUICK)
            cluster.leading = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(elect)
            answer = await client.post("/api/v1/certificate", json=BODY, headers=bearer)
        assert (answer.status_code, answer.json()["domain"]) == (201, "a.example")


async def test_a_leader_that_took_the_request_and_closed_leaves_the_outcome_open() -> None:
    asked = 0

    async def take(stream: trio.SocketStream) -> None:
        nonlocal asked
        asked += 1
        async with stream:
            await stream.receive_some(65536)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, take, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        async with follower(Follower(f"http://127.0.0.1:{port}")) as client:
            answer = await client.post("/api/v1/certificate", json=BODY)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/outcome-unknown")
        assert "ask again" in answer.json()["detail"]
        assert asked == 1
        nursery.cancel_scope.cancel()


async def test_a_leader_that_falls_silent_is_not_waited_for_once_another_leads() -> None:
    cluster, started = Follower(), trio.Event()

    async def hang() -> Response:
        started.set()
        await trio.sleep_forever()
        raise AssertionError

    async with (
        serving(Recorder(hang).app) as leader,
        follower(cluster, waits=Waits(glance=0.02, takeover=QUICK)) as client,
    ):
        cluster.url = leader.url

        async def take_over() -> None:
            await started.wait()
            cluster.leader_name = "node-c"

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take_over)
                answer = await client.post("/api/v1/certificate", json=BODY)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/outcome-unknown")
        assert "'node-b' stopped leading before it answered" in answer.json()["detail"]


async def test_connections_that_a_restarted_leader_does_not_know_are_not_used() -> None:
    cluster, first, second = Follower(), Recorder(), Recorder()
    async with follower(cluster) as client:
        async with serving(first.app) as leader:
            cluster.url = leader.url
            assert (await client.post("/api/v1/token")).status_code == 200
        async with serving(second.app, Flags(listen_address=leader.address)):
            assert (await client.post("/api/v1/token")).status_code == 200
        assert (len(first.scopes), len(second.scopes)) == (1, 1)


class Endless:
    """Certificates whose making takes for ever."""

    async def request(self, *_: Any) -> None:
        await trio.sleep_forever()


async def test_the_leader_keeps_to_the_caller_s_deadline() -> None:
    async with pair(replaced={"certificates": Endless()}) as nodes:
        headers = {**nodes.leader.api.token(), "X-Acme-Manager-Deadline": str(QUICK)}
        for node in (nodes.follower, nodes.leader):
            async with node.client() as client:
                answer = await client.post("/api/v1/certificate", json=BODY, headers=headers)
                assert (answer.status_code, answer.json()["type"]) == (504, "/problems/too-slow")
                assert answer.json()["owner"] == "alice"  # it is the leader's answer


async def test_a_leader_that_does_not_keep_to_it_is_given_up() -> None:
    async def hang() -> Response:
        await trio.sleep_forever()
        raise AssertionError

    waits = Waits(answer=QUICK, grace=QUICK)
    async with serving(Recorder(hang).app) as leader, follower(Follower(leader.url), waits=waits) as client:
        answer = await client.post("/api/v1/certificate", json=BODY)
        assert (answer.status_code, answer.json()["type"]) == (504, "/problems/too-slow")


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf"])
async def test_a_deadline_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    async with open_server() as server, server.client() as client:
        headers = {**server.api.token(), "X-Acme-Manager-Deadline": text}
        answer = await client.post("/api/v1/certificate", json=BODY, headers=headers)
        assert answer.status_code == 400
        assert "X-Acme-Manager-Deadline must be a number of seconds above 0" in answer.json()["detail"]


async def test_a_write_is_answered_once_this_node_shows_it() -> None:
    async with pair(Waits(copy=3600)) as nodes, nodes.follower.client() as client:
        nodes.cluster.caught_up = trio.Event()
        bearer = nodes.leader.api.token()
        answers: list[httpx.Response] = []

        async def write() -> None:
            answers.append(await client.post("/api/v1/certificate", json=BODY, headers=bearer))

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                while not nodes.cluster.awaited:  # noqa: ASYNC110 the leader's work is no event
                    await trio.sleep(0.01)
                await trio.sleep(QUICK)
                assert not answers
                nodes.cluster.caught_up.set()
        assert [answer.status_code for answer in answers] == [201]
        assert nodes.cluster.awaited == [nodes.leader.api.world.cluster.stamp()]
        assert (await client.post("/api/v1/certificate", json=BODY, headers=bearer)).status_code == 409
        assert len(nodes.cluster.awaited) == 1  # nothing was written


async def test_a_copy_that_lags_behind_delays_an_answer_for_a_while_only() -> None:
    async with pair(Waits(copy=QUICK)) as nodes, nodes.follower.client() as client:
        nodes.cluster.caught_up = trio.Event()
        with structlog.testing.capture_logs() as lines:
            answer = await client.post("/api/v1/certificate", json=BODY, headers=nodes.leader.api.token())
        assert answer.status_code == 201
        assert [line["stamp"] for line in lines if line["event"] == "copy is late, answering anyway"] == [
            nodes.leader.api.world.cluster.stamp()
        ]


async def test_the_log_says_who_served_it_and_no_secret() -> None:
    async with pair() as nodes, nodes.follower.client() as client:
        with structlog.testing.capture_logs() as lines:
            bearer = nodes.leader.api.token()
            await client.post("/api/v1/certificate", json=BODY, headers={**bearer, **ADMIN, "X-Request-ID": "r1"})
            nodes.cluster.url = NOWHERE
            await client.delete("/api/v1/certificate/x", headers={**bearer, "X-Acme-Manager-Deadline": "0.2"})
        served = [line for line in lines if line["event"] == "request served" and line["request_id"] == "r1"]
        assert sorted(line.get("passed_to", "") for line in served) == ["", "node-b"]
        assert {line["owner"] for line in served} == {"alice"}
        assert bearer["Authorization"].removeprefix("Bearer ") not in json.dumps(lines)
        assert "admin" not in json.dumps(lines)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (httpx.ConnectError("refused"), NotLeader, "can't be reached: refused"),
        (httpx.ConnectTimeout(""), NotLeader, "can't be reached: it does not answer in time"),
        (httpx.PoolTimeout(""), NotLeader, "can't be reached: too many writes are on their way to it"),
        (httpx.WriteTimeout(""), OutcomeUnknown, r"gave no answer \(WriteTimeout\)"),
        (httpx.ReadError(""), OutcomeUnknown, r"gave no answer \(the connection broke\)"),
        (httpx.RemoteProtocolError("left"), OutcomeUnknown, r"gave no answer \(left\)"),
    ],
)
async def test_what_may_have_been_done_is_told_from_what_was_not(
    error: Exception, kind: type[Exception], words: str
) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(kind, match=f"the leader 'node-b' at https://b:1 {words}"):
        await exchange(httpx.MockTransport(fail), httpx.Request("POST", "https://b:1/x"), "node-b")


@pytest.fixture
def flags(tmp_path: Path) -> Flags:
    """TLS among nodes that only let each other in."""
    files = server_files(tmp_path)
    return Flags(tls_cert_file=str(files.chain), tls_key_file=str(files.key), tls_client_ca_file=str(files.ca))


async def test_nodes_know_each_other_by_their_certificates(flags: Flags) -> None:
    async with open_server(flags=flags) as leader:
        assert leader.url.startswith("https://")
        async with open_server(replaced={"cluster": Follower(leader.url)}, flags=flags) as server:
            trust = authority().issue_cert("client.example")
            context = httpx.create_ssl_context(verify=False)
            trust.configure_cert(context)
            async with server.client(verify=context) as client:
                answer = await client.post("/api/v1/certificate", json=BODY, headers=leader.api.token())
                assert answer.status_code == 201


@pytest.mark.parametrize(
    "leaf",
    [trustme.CA().issue_cert("127.0.0.1"), authority().issue_cert("elsewhere.example")],
    ids=["of another CA", "for another address"],
)
async def test_a_node_whose_certificate_is_not_good_gets_nothing(
    leaf: trustme.LeafCert, flags: Flags, tmp_path: Path
) -> None:
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "other.pem"))
    other = Flags(tls_cert_file=str(tmp_path / "other.pem"), tls_key_file=str(tmp_path / "other.pem"))
    recorder = Recorder()
    async with serving(recorder.app, other) as leader:
        cluster = Follower(leader.url)
        serve_plainly = attrs.evolve(flags, tls_client_ca_file="")
        for trusting in (flags, serve_plainly):  # the cluster's own CA; the system's
            async with open_server(replaced={"cluster": cluster}, flags=trusting, waits=IMPATIENT) as server:
                context = httpx.create_ssl_context(verify=False)
                authority().issue_cert("client.example").configure_cert(context)
                async with server.client(verify=context) as client:
                    answer = await client.post("/api/v1/certificate", json=BODY, headers={"Authorization": "Bearer x"})
                assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-leader")
                assert "certificate verify failed" in answer.json()["detail"]
    assert recorder.scopes == []


async def test_a_node_without_the_certificate_that_the_others_demand_gets_no_answer(flags: Flags) -> None:
    bare = Flags(tls_client_ca_file=flags.tls_client_ca_file)
    async with (
        open_server(flags=flags) as leader,
        open_api(replaced={"cluster": Follower(leader.url)}, flags=bare, waits=IMPATIENT) as api,
    ):
        answer = await api.client.post("/api/v1/certificate", json=BODY)
        # In TLS 1.3 one is refused after one has sent, so nothing else can be said for sure.
        assert (answer.status_code, (await answer.get_json())["type"]) == (503, "/problems/outcome-unknown")


async def test_where_tls_is_on_nothing_is_passed_on_without_it(flags: Flags) -> None:
    recorder = Recorder()
    async with serving(recorder.app) as leader:
        serve_plainly = attrs.evolve(flags, tls_client_ca_file="")
        cluster = Follower(leader.url)
        async with (
            open_server(replaced={"cluster": cluster}, flags=serve_plainly, waits=IMPATIENT) as server,
            server.client(verify=False) as client,
        ):
            answer = await client.post("/api/v1/certificate", json=BODY)
        assert answer.status_code == 503
        assert "without TLS, where no token must go" in answer.json()["detail"]
    assert recorder.scopes == []
