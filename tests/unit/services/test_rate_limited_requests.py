from __future__ import annotations

import attrs
import pytest
import trio

from acme_manager.config.model import Common
from acme_manager.domain.request import RenewParams
from acme_manager.errors import (
    CertificateExists,
    IssuerUnavailable,
    OperationInProgress,
    RateLimited,
    StorageUnavailable,
)
from tests.unit.services.world import ALICE, World, open_world, wish

LIMITED = Common(rate_limit_enabled=True, rate_limit_window=3600, rate_limit_max_requests=1)


def _counts(world: World) -> list[int]:
    return [usage.request_count for usage in world.rate_limits.list()]


async def test_creating_and_recreating_share_the_places_of_a_window_and_all_else_is_free() -> None:
    async with open_world(common=LIMITED) as world:
        first = await world.certificates.request(ALICE, wish())
        with pytest.raises(CertificateExists):
            await world.certificates.request(ALICE, wish())
        await world.certificates.update(ALICE, wish(labels="a=b"))
        await world.certificates.renew(first.certificate.id, "it is time")
        with pytest.raises(RateLimited):
            await world.certificates.update(ALICE, wish(san="b.example.com"))
        with pytest.raises(RateLimited):
            await world.certificates.renew_for(ALICE, RenewParams(issuer="test", domain="example.com"))
        await world.certificates.delete(first.certificate.id, revoke=True)
        with pytest.raises(RateLimited):
            await world.certificates.request(ALICE, wish())
        labels = {"issuer": "test", "owner": "alice"}
        for operation, times in (("create", 1), ("update", 2)):
            blocked = world.registry.get_sample_value(
                "acme_manager_rate_limit_blocked_total", {**labels, "operation": operation}
            )
            assert blocked == times


async def test_of_requests_at_once_those_for_the_same_share_one_place_and_others_get_none() -> None:
    async def slowly(_step: str) -> None:
        await trio.sleep(0.01)

    results: list[str] = []
    async with open_world(common=LIMITED, before=slowly) as world, trio.open_nursery() as nursery:

        async def ask(san: str) -> None:
            try:
                await world.certificates.request(ALICE, wish(san=san))
                results.append("issued")
            except (OperationInProgress, RateLimited) as error:
                results.append(type(error).__name__)

        nursery.start_soon(ask, "")
        await trio.sleep(0.001)
        for san in ("", "", "b.example.com"):
            nursery.start_soon(ask, san)
    assert sorted(results) == ["OperationInProgress", "issued", "issued", "issued"]
    assert len(world.ca.placed) == 1
    assert _counts(world) == [1]


async def test_a_request_that_reaches_no_ca_costs_nothing() -> None:
    async def away(step: str) -> None:
        if step == "order":
            raise IssuerUnavailable("away")

    async with open_world(common=LIMITED, before=away) as world:
        for _ in range(2):
            with pytest.raises(IssuerUnavailable):
                await world.certificates.request(ALICE, wish())
        assert _counts(world) == []


async def test_storage_that_is_away_costs_nothing_either() -> None:
    async with open_world(common=attrs.evolve(LIMITED, rate_limit_max_requests=2)) as world:
        await world.certificates.request(ALICE, wish(name="n"))
        world.storage.down = StorageUnavailable("sealed")
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await world.certificates.update(ALICE, wish(name="n", san="b.example.com"))
        assert _counts(world) == [1]


async def test_who_is_told_to_ask_again_for_an_order_that_is_under_way_may_do_so() -> None:
    failing = True

    async def before(step: str) -> None:
        if step == "finalize" and failing:
            raise IssuerUnavailable("busy")

    async with open_world(common=LIMITED, before=before) as world:
        with pytest.raises(IssuerUnavailable):
            await world.certificates.request(ALICE, wish())
        failing = False
        with pytest.raises(RateLimited):
            await world.certificates.request(ALICE, wish(san="b.example.com"))
        await world.certificates.request(ALICE, wish())
        assert len(world.ca.resumed) == 1
        assert _counts(world) == [1]
