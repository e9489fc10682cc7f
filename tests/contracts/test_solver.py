"""What every adapter of ports.Solver keeps to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio
from prometheus_client import CollectorRegistry

from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import ChallengeNotFound
from acme_manager.ports import Challenge, Solver
from acme_manager.ring.alone import Alone
from acme_manager.services.challenges import HttpChallenges
from tests.integration.dns.servers import config, environ
from tests.parts.bind import bind


@attrs.frozen
class Stage:
    """A solver, and what the world sees of a challenge."""

    solver: Solver
    visible: Callable[[Challenge], Awaitable[bool]]

    def challenge(self, host: str, secret: str) -> Challenge:
        return Challenge(parse_identifier(f"{host}.example.test"), self.solver.type, f"{host}-{secret}", secret)


@pytest.fixture(params=["http-01", "dns-01"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    if request.param == "http-01":
        http = HttpChallenges(Alone(), lambda: True)

        async def served(challenge: Challenge) -> bool:
            try:
                return await http.answer(challenge.token) == challenge.key_authorization
            except ChallengeNotFound:
                return False

        yield Stage(http, served)
        return
    async with bind(tmp_path, {"example.test": "zonesub TXT"}) as dns:

        async def written(challenge: Challenge) -> bool:
            digest = hashlib.sha256(challenge.key_authorization.encode()).digest()
            value = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            return value in await dns.txt(f"_acme-challenge.{challenge.identifier.value}")

        yield Stage(DnsSolvers(config(dns), environ(dns), DnsMetrics(CollectorRegistry())).solver("rfc2136"), written)


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
