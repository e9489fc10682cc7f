"""Stores as solvers: whose traces they take, what they refuse, and what their servers say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from acme_manager.config.http_stores import HttpStoreConfig, MemcachedConfig, S3Config, WebrootConfig
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import ChallengeFailed
from acme_manager.http01.s3 import object_url, settled
from acme_manager.http01.store import StoreSolver
from acme_manager.http01.stores import store_solver
from acme_manager.ports import Challenge, Trace
from tests.integration.issuance.helpers import SystemClock

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "the-secret"}


def solver(name: str, config: HttpStoreConfig, environ: Mapping[str, str] = KEYS) -> StoreSolver:
    return store_solver(name, config, environ, SystemClock())


def challenge(token: str = "token") -> Challenge:
    return Challenge(parse_identifier("www.example.com"), "http-01", token, f"{token}.thumbprint")


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers whatever it is sent with the same; yields its port, and what it was sent."""
    sent: list[bytes] = []

    async def talk(stream: trio.SocketStream) -> None:
        sent.append(bytes(await stream.receive_some(65536)))
        await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await nursery.start(partial(trio.serve_tcp, talk, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1], sent
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("token", ["../../etc/passwd", "a/b", ".hidden", "", "a b", "a\r\nflush_all", "x" * 201])
async def test_a_token_that_is_none_is_refused_before_anything_is_written(tmp_path: Path, token: str) -> None:
    store = solver("webroot", WebrootConfig(roots=(tmp_path,)))
    with pytest.raises(ChallengeFailed, match="token"):
        await store.plan([challenge(token)])
    (trace,) = await store.plan([challenge()])
    with pytest.raises(ChallengeFailed, match="token"):
        await store.remove([{**trace, "token": token}])
    assert not (tmp_path / ".well-known").exists()


async def test_what_was_put_is_removed_from_there_also_when_another_store_is_configured(tmp_path: Path) -> None:
    before = solver("webroot", WebrootConfig(roots=(tmp_path / "old",)))
    file = tmp_path / "old/.well-known/acme-challenge/token"
    file.parent.mkdir(parents=True)
    file.write_text("left behind")
    traces = await before.plan([challenge()])
    await solver("memcached", MemcachedConfig(servers=(("127.0.0.1", 1),))).remove(traces)
    assert not file.exists()


@pytest.mark.parametrize(
    "trace",
    [
        {"type": "dns-01", "provider": "rfc2136", "name": "x", "value": "y"},
        {"token": "token", "answer": "kvring's"},
        {"type": "http-01", "store": "ftp", "token": "token"},
        {"type": "http-01", "store": "webroot", "token": "token", "roots": "relative"},
        {"type": "http-01", "store": "s3", "token": "token"},
        {"type": "http-01", "store": "memcached", "token": "token", "servers": ""},
    ],
)
async def test_traces_of_others_are_refused_and_the_own_ones_are_seen_to(tmp_path: Path, trace: Trace) -> None:
    store = solver("webroot", WebrootConfig(roots=(tmp_path,)))
    async with store.presented(own := await store.plan([challenge()])):
        with pytest.raises(ChallengeFailed, match="a stored trace"):
            await store.remove([trace, *own])
        assert not (tmp_path / ".well-known/acme-challenge/token").exists()


async def test_one_memcached_server_is_enough_and_none_is_not() -> None:
    async with server(b"STORED\r\n") as (good, sent), server(b"SERVER_ERROR out of memory\r\n") as (bad, _):
        both = solver("memcached", MemcachedConfig(servers=(("127.0.0.1", bad), ("127.0.0.1", good))))
        async with both.presented(await both.plan([challenge()])):
            expected = b"set /.well-known/acme-challenge/token 0 86400 16\r\ntoken.thumbprint\r\n"
            assert sent == [expected]
        none = solver("memcached", MemcachedConfig(servers=(("127.0.0.1", bad), ("127.0.0.1", 1))))
        with pytest.raises(
            ChallengeFailed, match=r"SERVER_ERROR out of memory; memcached server 127\.0\.0\.1:1: it can't"
        ):
            async with none.presented(await none.plan([challenge()])):
                pytest.fail("it began")


@pytest.mark.parametrize(("answer", "said"), [(b"", "closed"), (b"x" * 5000, "x"), (b"ERROR\r\n", "ERROR")])
async def test_what_is_no_memcached_server_is_told(answer: bytes, said: str) -> None:
    async with server(answer) as (port, _):
        store = solver("memcached", MemcachedConfig(servers=(("127.0.0.1", port),)))
        with pytest.raises(ChallengeFailed, match=rf"memcached server 127\.0\.0\.1:{port}: .*{said}"):
            await store.remove(await store.plan([challenge()]))


async def test_what_s3_says_is_told_without_the_secret(tmp_path: Path) -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>No.</Message><StringToSign>x</StringToSign></Error>"
    async with server(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as (port, sent):
        store = solver("s3", S3Config(bucket="answers", endpoint=f"http://127.0.0.1:{port}", acl="public-read"))
        with pytest.raises(ChallengeFailed) as caught:
            async with store.presented(await store.plan([challenge()])):
                pytest.fail("it began")
    assert str(caught.value).endswith("PUT was answered with 403 AccessDenied: No.")
    assert sent[0].startswith(b"PUT /answers/.well-known/acme-challenge/token HTTP/1.1\r\n")
    assert b"x-amz-acl: public-read" in sent[0]
    assert b"the-secret" not in b"".join(sent)
    assert "the-secret" not in f"{await store.plan([challenge()])}{caught.value}"


async def test_credentials_come_from_files_too_and_their_absence_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    files = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "secret")}
    wrong = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "gone")}
    async with server(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, sent):
        config = S3Config(bucket="answers", endpoint=f"http://127.0.0.1:{port}")
        store = solver("s3", config, files)
        await store.remove(await store.plan([challenge()]))
        assert b"Credential=id/" in sent[0]
        for environ, message in (
            (wrong, "AWS_SECRET_ACCESS_KEY_FILE names can't be read"),
            ({}, "set AWS_ACCESS_KEY_ID"),
        ):
            store = solver("s3", config, environ)
            with pytest.raises(ChallengeFailed, match=message):
                await store.remove(await store.plan([challenge()]))


@pytest.mark.parametrize(
    ("config", "environ", "url"),
    [
        (S3Config(bucket="b-b"), {}, "https://b-b.s3.us-east-1.amazonaws.com/.well-known/acme-challenge/t"),
        (
            S3Config(bucket="b-b"),
            {"AWS_REGION": "eu-west-1"},
            "https://b-b.s3.eu-west-1.amazonaws.com/.well-known/acme-challenge/t",
        ),
        (
            S3Config(bucket="b.b", region="x-1", path_style=True, prefix="a/ü"),
            {"AWS_REGION": "y"},
            "https://s3.x-1.amazonaws.com/b.b/a/%C3%BC/.well-known/acme-challenge/t",
        ),
        (
            S3Config(bucket="bbb", endpoint="https://s3.test:9000"),
            {},
            "https://s3.test:9000/bbb/.well-known/acme-challenge/t",
        ),
        (
            S3Config(bucket="bbb", endpoint="https://s3.test:9000", path_style=False),
            {},
            "https://bbb.s3.test:9000/.well-known/acme-challenge/t",
        ),
    ],
)
def test_objects_have_the_urls_that_s3_knows(config: S3Config, environ: dict[str, str], url: str) -> None:
    assert "".join(object_url(settled(config, environ), "t")) == url
