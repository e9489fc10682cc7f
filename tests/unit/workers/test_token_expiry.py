from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from acme_manager.domain.token import Scope, Token
from acme_manager.errors import NotAuthenticated, StorageDenied, StorageUnavailable, TokenNotFound
from acme_manager.storage.memory import MemoryStorage
from acme_manager.workers.token_expiry import TokenExpiry
from tests.unit.services.world import MovableClock, World, open_world, token_wish


@attrs.frozen
class _Setting:
    world: World
    clock: MovableClock
    worker: TokenExpiry

    def metric(self, name: str) -> float | None:
        return self.world.registry.get_sample_value(f"acme_manager_{name}")

    async def kept(self) -> list[str]:
        return list(await self.world.storage.list("tokens"))


@asynccontextmanager
async def _setting(**options: Any) -> AsyncIterator[_Setting]:
    clock = MovableClock()
    async with open_world(clock=clock, **options) as world:
        yield _Setting(world, clock, TokenExpiry(world.tokens, world.cluster, world.registry, world.audit))


async def test_an_expired_token_is_refused_at_once_and_disappears_with_its_history() -> None:
    async with _setting() as at:
        short, bearer = await at.world.tokens.create(token_wish(duration="1m"))
        short, bearer = await at.world.tokens.replace(token_wish(id=short.id, duration="1m"))
        ever, _ = await at.world.tokens.create(token_wish())
        await at.worker.look()
        assert at.world.tokens.authenticate(bearer) == short
        at.clock.at += timedelta(minutes=1)
        with pytest.raises(NotAuthenticated, match="token expired"):
            at.world.tokens.authenticate(bearer)
        assert at.world.tokens.list() != [ever]
        await at.worker.look()
        assert at.world.tokens.list() == [ever]
        assert await at.kept() == [f"tokens/bob/{ever.id}"]
        assert (at.metric("tokens_expired"), at.metric("tokens_removed_total")) == (0, 1)


async def test_a_follower_reports_and_removes_nothing() -> None:
    async with _setting() as at:
        await at.world.tokens.create(token_wish(duration="1m"))
        at.clock.at += timedelta(minutes=1)
        at.world.cluster.leading = False
        for _ in range(2):
            await at.worker.look()
        assert len(await at.kept()) == len(at.world.tokens.list()) == 1
        assert (at.metric("tokens_expired"), at.metric("tokens_removed_total")) == (1, 0)


@pytest.mark.parametrize(
    "found",
    [
        {"expires": "2030-01-01 00:00:00 +0000 UTC"},  # replaced by a program that does not ask us
        {"expires": "next week"},
        {"tokenHash": ""},
        {"scope": ["rule"]},
    ],
)
async def test_what_storage_says_decides_and_what_can_not_be_read_is_left_alone(found: dict[str, Any]) -> None:
    async with _setting() as at:
        token, _ = await at.world.tokens.create(token_wish(duration="1m"))
        key = f"tokens/bob/{token.id}"
        value = (await at.world.storage.get(key)).value
        assert value is not None
        await at.world.storage.put(key, {**value, **found}, expected=1)
        at.clock.at += timedelta(minutes=1)
        await at.worker.look()
        assert len(await at.world.storage.versions(key)) == 2
        assert at.metric("tokens_removed_total") == 0


async def test_a_token_that_does_not_say_when_it_ends_opens_nothing_and_stays() -> None:
    async with _setting() as at:
        token = Token(id="odd", token_hash="0" * 64, username="bob", scope=(Scope.READ,), expires="soon")
        at.world.state.publish_token(token)
        await at.worker.look()
        assert at.world.tokens.list() == [token]


async def test_one_that_is_gone_from_storage_only_leaves_the_map() -> None:
    async with _setting() as at:
        token, _ = await at.world.tokens.create(token_wish(duration="1m"))
        await at.world.storage.delete(f"tokens/bob/{token.id}")
        at.clock.at += timedelta(minutes=1)
        await at.worker.look()
        assert at.world.tokens.list() == []
        assert len(await at.kept()) == 1, "an undelete must stay possible for what somebody else has deleted"


async def test_one_that_can_not_be_removed_hinders_no_other_and_fails_the_round() -> None:
    class Guarded(MemoryStorage):
        async def purge(self, key: str) -> None:
            if key.startswith("tokens/eve/"):
                raise StorageDenied("delete on tokens/eve")
            await super().purge(key)

    clock = MovableClock()
    async with open_world(Guarded(clock), clock=clock) as world:
        worker = TokenExpiry(world.tokens, world.cluster, world.registry, world.audit)
        for username in ("eve", "bob", "eve"):
            await world.tokens.create(token_wish(username=username, duration="1m"))
        clock.at += timedelta(minutes=1)
        with pytest.raises(StorageDenied):
            await worker.look()
        assert {token.username for token in world.tokens.list()} == {"eve"}
        assert world.registry.get_sample_value("acme_manager_tokens_expired") == 2


async def test_whoever_replaces_a_token_that_is_being_removed_is_told_and_not_robbed() -> None:
    reached, go = trio.Event(), trio.Event()

    class Slow(MemoryStorage):
        async def purge(self, key: str) -> None:
            reached.set()
            await go.wait()
            await super().purge(key)

    clock = MovableClock()
    async with open_world(Slow(clock), clock=clock) as world, trio.open_nursery() as nursery:
        token, _ = await world.tokens.create(token_wish(duration="1m"))
        clock.at += timedelta(minutes=1)
        nursery.start_soon(TokenExpiry(world.tokens, world.cluster, world.registry, world.audit).look)
        await reached.wait()

        async def replace() -> None:
            with pytest.raises(TokenNotFound):
                await world.tokens.replace(token_wish(id=token.id))

        nursery.start_soon(replace)
        await trio.testing.wait_all_tasks_blocked()
        go.set()


async def test_while_storage_is_away_nothing_is_forgotten() -> None:
    async with _setting() as at:
        await at.world.tokens.create(token_wish(duration="1m"))
        at.clock.at += timedelta(minutes=1)
        at.world.storage.down = StorageUnavailable("sealed")
        with pytest.raises(StorageUnavailable):
            await at.worker.look()
        at.world.storage.down = None
        await at.worker.look()
        assert at.world.tokens.list() == []
        assert await at.kept() == []
