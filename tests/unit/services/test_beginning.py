"""The verbs that return as soon as the work is under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs
import pytest
import trio
import trio.testing

from acme_manager.config.model import Common
from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.revocation import Reason
from acme_manager.domain.token import Scope, Token, hash_secret
from acme_manager.errors import (
    CertificateExists,
    CertificateNotFound,
    InvalidRequest,
    IssuanceFailed,
    NameNotAllowed,
    NotLeader,
    OperationInProgress,
    RateLimited,
)
from tests.unit.services.world import ALICE, World, open_world, wish

EXAMPLE = CertificateId("alice", "test", "example.com")
LIMITED = Common(rate_limit_enabled=True, rate_limit_window=3600, rate_limit_max_requests=1)
NARROW = attrs.evolve(ALICE, domains=("example.org",))
BOB = Token(id="t-bob", token_hash=hash_secret("s"), username="bob", scope=tuple(Scope))


def held(step: str, go: trio.Event) -> Callable[[str], Awaitable[None]]:
    async def before(reached: str) -> None:
        if reached == step:
            await go.wait()

    return before


async def settle(world: World) -> None:
    await trio.testing.wait_all_tasks_blocked()
    assert world.jobs.running() == []


def outcomes(world: World) -> list[tuple[str, str]]:
    return [(one["outcome"], one["reason"]) for one in world.certificates.attempts(EXAMPLE)]


async def test_a_request_is_shown_as_under_way_as_soon_as_it_has_begun() -> None:
    go = trio.Event()
    async with open_world(before=held("order", go)) as world:
        assert await world.certificates.begin_request(ALICE, wish(domain="EXAMPLE.com")) == EXAMPLE
        assert outcomes(world) == [("running", "requested")]
        assert await world.certificates.begin_request(ALICE, wish()) == EXAMPLE  # joins
        with pytest.raises(OperationInProgress):
            await world.certificates.begin_request(ALICE, wish(san="www.example.com"))
        go.set()
        await settle(world)
        assert outcomes(world) == [("issued", "requested")]
        assert len(world.ca.placed) == 1
        assert [one.id for one in world.certificates.list(None)] == [EXAMPLE]


async def test_what_is_wrong_with_a_wish_is_said_at_once_and_begins_nothing() -> None:
    async with open_world() as world:
        certificates = world.certificates
        await certificates.request(ALICE, wish())
        calls: Sequence[tuple[type[Exception], Callable[[], Awaitable[object]]]] = (
            (CertificateExists, lambda: certificates.begin_request(ALICE, wish())),
            (InvalidRequest, lambda: certificates.begin_request(ALICE, wish(name="n", issuer="no such"))),
            (NameNotAllowed, lambda: certificates.begin_request(NARROW, wish(name="n"))),
            (NameNotAllowed, lambda: certificates.begin_renewal(NARROW, EXAMPLE)),
            (CertificateNotFound, lambda: certificates.begin_renewal(BOB, EXAMPLE)),
            (CertificateNotFound, lambda: certificates.begin_update(BOB, wish())),
            (CertificateNotFound, lambda: certificates.begin_deletion(CertificateId("alice", name="n"), revoke=True)),
        )
        for refused, call in calls:
            with pytest.raises(refused):
                await call()
        await settle(world)
        assert len(world.ca.placed) == 1
        assert outcomes(world) == [("issued", "requested")]


async def test_a_limit_that_is_reached_is_said_at_once_and_a_flight_that_is_joined_has_its_place_already() -> None:
    go = trio.Event()
    async with open_world(common=LIMITED, before=held("order", go)) as world:
        await world.certificates.begin_request(ALICE, wish())
        await trio.testing.wait_all_tasks_blocked()  # it has taken the only place
        await world.certificates.begin_request(ALICE, wish())
        go.set()
        await settle(world)
        with pytest.raises(RateLimited):
            await world.certificates.begin_renewal(ALICE, EXAMPLE)
        await world.certificates.begin_renewal(None, EXAMPLE)
        await settle(world)
        assert outcomes(world) == [("issued", "asked for by an administrator"), ("issued", "requested")]


async def test_facts_are_changed_on_return_and_other_ingredients_are_ordered() -> None:
    async with open_world() as world:
        await world.certificates.request(ALICE, wish())
        await world.certificates.begin_update(ALICE, wish(labels="team=web"))
        assert world.certificates.find(EXAMPLE).labels == "team=web"
        await world.certificates.begin_update(ALICE, wish(san="www.example.com"))
        assert outcomes(world)[0] == ("running", "requested")
        await settle(world)
        assert world.certificates.find(EXAMPLE).san == "www.example.com"


async def test_an_error_that_nobody_waits_for_is_in_the_attempts() -> None:
    async def fail(_step: str) -> None:
        raise IssuanceFailed("the CA says no")

    async with open_world(before=fail) as world:
        await world.certificates.begin_request(ALICE, wish())
        await settle(world)
        (noted,) = world.certificates.attempts(EXAMPLE)
        assert (noted["outcome"], noted["error"]) == ("failed", "the CA says no")


async def test_a_deletion_is_done_on_return_unless_the_ca_has_to_revoke_first() -> None:
    async with open_world() as world:
        await world.certificates.request(ALICE, wish())
        await world.certificates.begin_deletion(EXAMPLE, revoke=False)
        assert world.certificates.list("alice") == []

        await world.certificates.request(ALICE, wish())
        revoke = world.ca.revoke

        async def refuse(_certificate: str, _reason: int | None = None, **_more: object) -> None:
            raise IssuanceFailed("not now")

        world.ca.revoke = refuse  # type: ignore[method-assign, assignment]
        await world.certificates.begin_deletion(EXAMPLE, revoke=True, reason=Reason.keyCompromise)
        assert outcomes(world)[0] == ("running", "to be revoked and deleted")
        await settle(world)
        assert outcomes(world)[0] == ("failed", "to be revoked and deleted")
        assert world.certificates.attempts(EXAMPLE)[0]["error"] == "not now"
        assert world.certificates.list("alice") != []

        world.ca.revoke = revoke  # type: ignore[method-assign]
        await world.certificates.begin_deletion(EXAMPLE, revoke=True)
        await settle(world)
        assert outcomes(world)[0] == ("deleted", "to be revoked and deleted")
        assert [one["step"] for one in world.certificates.attempts(EXAMPLE)[0]["steps"]] == ["revoked"]
        assert world.certificates.list("alice") == []


async def test_nothing_begins_on_a_node_that_does_not_lead() -> None:
    async with open_world(lead=False) as world:
        with pytest.raises(NotLeader):
            await world.certificates.begin_request(ALICE, wish())
        assert world.issuing.attempts.of(EXAMPLE) == []
