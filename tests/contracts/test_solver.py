"""What every adapter of ports.Solver keeps to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from cryptography.x509 import ObjectIdentifier, load_pem_x509_certificate
from prometheus_client import CollectorRegistry

from acme_manager.config.http_stores import HttpStoreConfig, MemcachedConfig, S3Config, WebrootConfig
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import ChallengeNotFound
from acme_manager.http01.stores import store_solver
from acme_manager.ports import Challenge, Solver
from acme_manager.ring.alone import Alone
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.tls_challenges import TlsChallenges
from tests.integration.dns.servers import config, environ
from tests.integration.issuance.helpers import SystemClock
from tests.parts.bind import bind
from tests.parts.memcached import memcached
from tests.parts.s3 import BUCKET, s3

Getter = Callable[[str], Awaitable[str | None]]


@attrs.frozen
class Stage:
    """A solver, and what the world sees of a challenge."""

    solver: Solver
    visible: Callable[[Challenge], Awaitable[bool]]

    def challenge(self, host: str, secret: str) -> Challenge:
        return Challenge(parse_identifier(f"{host}.example.test"), self.solver.type, f"{host}-{secret}", secret)


@asynccontextmanager
async def kvring(_folder: Path) -> AsyncIterator[Stage]:
    http = HttpChallenges(Alone(), lambda: True)

    async def served(challenge: Challenge) -> bool:
        try:
            return await http.answer(challenge.token) == challenge.key_authorization
        except ChallengeNotFound:
            return False

    yield Stage(http, served)


@asynccontextmanager
async def tls_alpn(_folder: Path) -> AsyncIterator[Stage]:
    tls = TlsChallenges(Alone(), lambda: True)

    async def shown(challenge: Challenge) -> bool:
        try:
            certificate = load_pem_x509_certificate(await tls.certificate(challenge.identifier.value))
        except ChallengeNotFound:
            return False
        proof = certificate.extensions.get_extension_for_oid(ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
        digest = hashlib.sha256(challenge.key_authorization.encode()).digest()
        return proof.critical and proof.value.public_bytes().endswith(digest)

    yield Stage(tls, shown)


def stored(name: str, config: HttpStoreConfig, environ: Mapping[str, str], get: Getter) -> Stage:
    async def visible(challenge: Challenge) -> bool:
        return await get(f".well-known/acme-challenge/{challenge.token}") == challenge.key_authorization

    return Stage(store_solver(name, config, environ, SystemClock()), visible)


@asynccontextmanager
async def webroot(folder: Path) -> AsyncIterator[Stage]:
    roots = (folder / "one", folder / "two")
    for root in roots:
        root.mkdir()

    async def read(path: str) -> str | None:
        there = {(root / path).read_text() if (root / path).exists() else None for root in roots}
        assert len(there) == 1
        return there.pop()

    yield stored("webroot", WebrootConfig(roots=roots), {}, read)
    assert [file for root in roots for file in root.rglob("*") if file.is_file()] == []


@asynccontextmanager
async def in_memcached(folder: Path) -> AsyncIterator[Stage]:
    async with memcached(folder) as server:
        yield stored("memcached", MemcachedConfig(servers=(server.server,)), {}, lambda path: server.get(f"/{path}"))


@asynccontextmanager
async def in_s3(folder: Path) -> AsyncIterator[Stage]:
    async with s3(folder) as server:
        config = S3Config(bucket=BUCKET, endpoint=server.url, prefix="a site/www")
        yield stored("s3", config, server.environ, lambda path: server.get(f"a%20site/www/{path}"))


@asynccontextmanager
async def dns01(folder: Path) -> AsyncIterator[Stage]:
    async with bind(folder, {"example.test": "zonesub TXT"}) as dns:

        async def written(challenge: Challenge) -> bool:
            digest = hashlib.sha256(challenge.key_authorization.encode()).digest()
            value = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            return value in await dns.txt(f"_acme-challenge.{challenge.identifier.value}")

        yield Stage(DnsSolvers(config(dns), environ(dns), DnsMetrics(CollectorRegistry())).solver("rfc2136"), written)


@pytest.fixture(params=[kvring, tls_alpn, webroot, in_memcached, in_s3, dns01], ids=lambda make: make.__name__)
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with request.param(tmp_path) as made:
        yield made


async def test_nothing_is_visible_before_or_after_the_block_and_everything_inside(stage: Stage) -> None:
    challenges = [stage.challenge("a", "one"), stage.challenge("b", "two")]
    traces = await stage.solver.plan(challenges)
    assert [await stage.visible(one) for one in challenges] == [False, False]
    async with stage.solver.presented(traces):
        assert [await stage.visible(one) for one in challenges] == [True, True]
    assert [await stage.visible(one) for one in challenges] == [False, False]


@pytest.mark.parametrize("how", ["error", "cancelled"])
async def test_nothing_stays_however_the_block_ends(stage: Stage, how: str) -> None:
    challenge = stage.challenge("a", "one")
    traces = await stage.solver.plan([challenge])

    async def use() -> None:
        async with stage.solver.presented(traces):
            if how == "error":
                raise LookupError
            scope.cancel()
            await trio.sleep_forever()

    with trio.CancelScope() as scope:
        if how == "error":
            with pytest.raises(LookupError):
                await use()
        else:
            await use()
    assert not await stage.visible(challenge)


async def test_two_challenges_for_one_name_do_not_take_each_other_away(stage: Stage) -> None:
    if stage.solver.type == "tls-alpn-01":
        pytest.skip("they take turns: tests/unit/services/test_tls_challenges.py")
    first, second = stage.challenge("a", "one"), stage.challenge("a", "two")
    async with stage.solver.presented(await stage.solver.plan([first])):
        async with stage.solver.presented(await stage.solver.plan([second])):
            assert await stage.visible(first)
            assert await stage.visible(second)
        assert await stage.visible(first)


async def test_traces_that_were_stored_are_enough_to_clean_up_and_may_be_removed_twice(stage: Stage) -> None:
    challenge = stage.challenge("a", "one")
    traces = [dict(trace) for trace in await stage.solver.plan([challenge])]
    assert all(isinstance(text, str) for trace in traces for text in [*trace, *trace.values()])
    async with stage.solver.presented(traces):
        pass
    await stage.solver.remove(traces)
    await stage.solver.remove(traces)
    assert not await stage.visible(challenge)
