from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import attrs
import pytest

from acme_manager.config.model import Common
from acme_manager.domain.certificate import Certificate
from acme_manager.errors import (
    CertificateExists,
    IssuanceFailed,
    IssuerRateLimited,
    IssuerUnavailable,
    Problem,
    RateLimited,
    StorageUnavailable,
)
from acme_manager.ports import Step
from acme_manager.services.rate_limits import Operation, RateLimits
from tests.unit.services.world import ALICE, MovableClock, World, open_world

LIMITED = Common(rate_limit_enabled=True, rate_limit_window=3600, rate_limit_max_requests=1)
WANTED = Certificate(owner="alice", issuer="test", domain="example.com")
SAID_NO = Problem("urn:ietf:params:acme:error:rejectedIdentifier", "no")


@attrs.frozen
class _Setting:
    world: World
    clock: MovableClock

    @property
    def limits(self) -> RateLimits:
        return self.world.rate_limits

    def order(self, wanted: Certificate = WANTED, fails: Exception | None = None, *, placed: bool = True) -> None:
        with self.limits.counted(ALICE, wanted, Operation.CREATE):
            if placed:
                self.world.progress.publish(wanted.id, Step.ORDERED)
            if fails is not None:
                raise fails

    def counts(self) -> list[int]:
        return [usage.request_count for usage in self.limits.list()]


@asynccontextmanager
async def _setting(common: Common = LIMITED) -> AsyncIterator[_Setting]:
    clock = MovableClock()
    async with open_world(common=common, clock=clock) as world:
        yield _Setting(world, clock)


async def test_one_order_too_many_is_refused_until_the_window_ends() -> None:
    async with _setting() as at:
        at.order()
        at.clock.at += timedelta(seconds=3599.5)
        with pytest.raises(RateLimited, match=r"^rate limit exceeded, retry after 1s$") as refused:
            at.order()
        assert refused.value.retry_after == 1
        labels = {"issuer": "test", "owner": "alice", "operation": "create"}
        assert at.world.registry.get_sample_value("acme_manager_rate_limit_blocked_total", labels) == 1
        at.clock.at += timedelta(seconds=1)
        at.order()
        assert at.counts() == [1]


async def test_nothing_is_counted_while_limits_are_off() -> None:
    async with _setting(Common()) as at:
        for _ in range(3):
            at.order()
        assert at.counts() == []


async def test_other_certificates_and_other_owners_have_counts_of_their_own() -> None:
    async with _setting() as at:
        for wanted in (
            WANTED,
            attrs.evolve(WANTED, name="n"),
            attrs.evolve(WANTED, domain="b.example"),
            attrs.evolve(WANTED, owner="bob"),
        ):
            at.order(wanted)
        assert at.counts() == [1, 1, 1, 1]
        assert len(at.limits.list("alice")) == 3
        with pytest.raises(RateLimited):
            at.order(attrs.evolve(WANTED, name="n", domain="c.example"))


@pytest.mark.parametrize(
    "why", [StorageUnavailable("sealed"), CertificateExists("x"), IssuerUnavailable("away"), IssuanceFailed("budget")]
)
async def test_what_fails_before_a_ca_was_asked_costs_nothing(why: Exception) -> None:
    async with _setting() as at:
        with pytest.raises(type(why)):
            at.order(fails=why, placed=False)
        assert at.counts() == []
        at.order()


@pytest.mark.parametrize(
    ("why", "placed"),
    [
        (IssuerUnavailable("no certificate yet"), True),
        (IssuanceFailed("invalid"), True),
        (IssuanceFailed("refused", SAID_NO), False),
        (IssuerRateLimited("too many", SAID_NO, 60), False),
    ],
)
async def test_what_a_ca_was_asked_counts_whatever_came_of_it(why: Exception, placed: bool) -> None:
    async with _setting() as at:
        with pytest.raises(type(why)):
            at.order(fails=why, placed=placed)
        assert at.counts() == [1]
        with pytest.raises(RateLimited):
            at.order()


async def test_two_at_once_can_not_both_take_the_last_place() -> None:
    async with _setting() as at, _never_placed(at):
        with pytest.raises(RateLimited):
            at.order()
    assert at.counts() == []


@asynccontextmanager
async def _never_placed(at: _Setting) -> AsyncIterator[None]:
    with at.limits.counted(ALICE, WANTED, Operation.UPDATE):
        yield


async def test_a_place_that_is_given_back_leaves_those_of_others_and_of_later_windows() -> None:
    async with _setting(attrs.evolve(LIMITED, rate_limit_max_requests=2)) as at:
        at.order()
        async with _never_placed(at):
            pass
        assert at.counts() == [1]
        async with _never_placed(at):
            at.clock.at += timedelta(hours=2)
            at.order()
        assert at.counts() == [1]


async def test_a_token_may_have_limits_of_its_own() -> None:
    async with _setting() as at:
        caller = attrs.evolve(ALICE, rate_limit_window="24h", rate_limit_max_requests=2)
        for _ in range(2):
            with at.limits.counted(caller, WANTED, Operation.CREATE):
                at.world.progress.publish(WANTED.id, Step.ORDERED)
            at.clock.at += timedelta(hours=2)
        with (
            pytest.raises(RateLimited, match="retry after 72000s"),
            at.limits.counted(caller, WANTED, Operation.CREATE),
        ):
            pass


async def test_a_node_that_stops_leading_meanwhile_leaves_the_place_taken() -> None:
    async with _setting() as at:
        async with _never_placed(at):
            at.world.cluster.leading = False
        assert at.counts() == [1]


async def test_counts_go_when_no_token_of_their_owner_can_run_into_them_any_more() -> None:
    async with _setting() as at:
        at.world.state.publish_token(attrs.evolve(ALICE, id="slow", rate_limit_window="24h"))
        at.world.state.publish_token(attrs.evolve(ALICE, id="odd", rate_limit_window="a while"))
        at.order()
        at.order(attrs.evolve(WANTED, owner="bob"))
        at.world.cluster.put("ratelimit/carol/x", b"{}")
        for hours, left in ((0.5, ["alice", "bob"]), (1, ["alice"]), (23, [])):
            at.clock.at += timedelta(hours=hours)
            await at.limits.forget_expired()
            assert [usage.owner for usage in at.limits.list()] == left
        assert list(at.world.cluster.items("ratelimit/")) == []


@pytest.mark.parametrize("value", [b"{", b"[]", b"7", b'{"owner":"alice"}'])
async def test_a_count_that_can_not_be_read_counts_nothing(value: bytes) -> None:
    async with _setting() as at:
        at.world.cluster.put("ratelimit/alice/test/example.com", value)
        assert at.counts() == []
        at.order()
        assert at.counts() == [1]
