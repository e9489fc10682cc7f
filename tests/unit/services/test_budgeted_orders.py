"""Where budgets meet orders: what is ordered, what is not, and what is learnt from the CA's answer."""

from __future__ import annotations

import pytest

from acme_manager.errors import BudgetSpent, DnsFailed, IssuanceFailed, IssuerRateLimited, IssuerUnavailable, Problem
from tests.unit.services.world import ALICE, World, open_world, wish, with_limits


def left(world: World) -> dict[str, int]:
    """By kind, of the buckets that somebody has drawn on."""
    at, limits = world.issuing.clock.now(), world.budgets.limits("test")
    found = {}
    for key, full_at in world.budgets.ledger("test").items():
        kind = key.partition("/")[0]
        limit = getattr(limits, kind)
        found[kind] = limit.left(full_at - limit.lag, at)
    return found


async def test_an_order_that_the_ca_would_refuse_is_not_placed() -> None:
    async with open_world() as world:
        with_limits(world.issuing.settings, "letsencrypt")
        for number in range(4):
            await world.certificates.request(ALICE, wish(name=f"n{number}"))
        with pytest.raises(BudgetSpent, match="5 certificates per 7d for exactly these names") as caught:
            await world.certificates.request(ALICE, wish(name="n4"))
        assert caught.value.retry_after == 300.0
        assert len(world.ca.placed) == 4
        assert left(world) == {"new_orders": 296, "certificates_per_domain": 46, "certificates_per_set": 1}


async def test_a_renewal_costs_what_the_ca_counts() -> None:
    async with open_world() as world:
        with_limits(world.issuing.settings, "letsencrypt")
        await world.certificates.request(ALICE, wish())
        before = left(world)
        await world.certificates.renew(next(iter(world.state.certificates.items()))[1].id, "due")
        assert left(world) == {**before, "certificates_per_set": before["certificates_per_set"] - 1}


@pytest.mark.parametrize(
    ("error", "costs"),
    [
        (DnsFailed("no such zone"), {"new_orders": 299, "certificates_per_domain": 50, "certificates_per_set": 5}),
        (
            IssuanceFailed("failed", Problem("urn:ietf:params:acme:error:dns", "", 400, "example.com")),
            {
                "new_orders": 299,
                "certificates_per_domain": 50,
                "certificates_per_set": 5,
                "failed_authorizations": 4,
                "consecutive_failures": 1151,
            },
        ),
        (  # it may still come to something
            IssuerUnavailable("away"),
            {"new_orders": 299, "certificates_per_domain": 49, "certificates_per_set": 4},
        ),
    ],
)
async def test_an_order_that_comes_to_nothing_costs_no_certificate(error: Exception, costs: dict[str, int]) -> None:
    async def fail(step: str) -> None:
        if step == "validate":
            raise error

    async with open_world(before=fail) as world:
        with_limits(world.issuing.settings, "letsencrypt")
        with pytest.raises(type(error)):
            await world.certificates.request(ALICE, wish())
        assert left(world) == costs


async def test_an_order_that_is_taken_up_again_costs_nothing_more() -> None:
    down = [True]

    async def away(step: str) -> None:
        if step == "finalize" and down[0]:
            raise IssuerUnavailable("away")

    async with open_world(before=away) as world:
        with_limits(world.issuing.settings, "letsencrypt")
        with pytest.raises(IssuerUnavailable):
            await world.certificates.request(ALICE, wish())
        before, down[0] = left(world), False
        await world.certificates.request(ALICE, wish())
        assert (len(world.ca.resumed), left(world)) == (1, before)


async def test_the_ca_is_left_alone_for_as_long_as_it_says() -> None:
    async def refuse(step: str) -> None:
        if step == "order":
            raise IssuerRateLimited("slow down", Problem("urn:ietf:params:acme:error:rateLimited"), 60.0)

    async with open_world(before=refuse) as world:
        with pytest.raises(IssuerRateLimited, match="slow down"):
            await world.certificates.request(ALICE, wish())
        with pytest.raises(BudgetSpent, match="the CA told us to wait") as caught:
            await world.certificates.request(ALICE, wish(domain="other.example"))
        assert caught.value.retry_after == 60.0
