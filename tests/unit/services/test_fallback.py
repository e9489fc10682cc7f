from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
import trio

from acme_manager.config.model import Common
from acme_manager.domain.certificate import CertificateId
from acme_manager.errors import (
    AcmeManagerError,
    BudgetSpent,
    CertificateExists,
    DnsFailed,
    IssuanceFailed,
    IssuanceTimedOut,
    IssuerRateLimited,
    IssuerUnavailable,
    Problem,
    StorageUnavailable,
)
from acme_manager.ports import Issued, IssuerFacts, OrderRequest, Solver
from acme_manager.storage.memory import MemoryStorage
from tests.fakes.ca import MemoryCa
from tests.fakes.dns import MemoryLookup
from tests.unit.services.world import ALICE, FixedClock, World, open_world, wish

SECOND = IssuerFacts(caa_identities=("second.test",), profiles={"shared": ""}, account="https://second.test/acct/7")
ID = CertificateId("alice", "test", "example.com")


async def settled(world: World) -> None:
    """Return once what was taken up is done: who asks for the same waits for it, or is told that it is there."""
    with suppress(CertificateExists):
        await world.certificates.request(ALICE, wish())


def failing(*errors: AcmeManagerError, at: str = "order") -> Callable[[str], Awaitable[None]]:
    """These errors at one step, one after the other, then none."""
    left = list(errors)

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if step == at and left:
            raise left.pop(0)

    return before


def second_ca(before: Callable[[str], Awaitable[None]] | None = None, facts: IssuerFacts = SECOND) -> MemoryCa:
    ca = MemoryCa(before)
    ca.said = facts
    return ca


CURABLE: Mapping[str, AcmeManagerError] = {
    "5xx": IssuerUnavailable("the CA answers 503"),
    "rate limit": IssuerRateLimited("too many", Problem("urn:ietf:params:acme:error:rateLimited")),
    "our own budget": BudgetSpent("it would be refused", retry_after=60.0),
    "timeout": IssuanceTimedOut("not finished within 240 s"),
    "internal error": IssuanceFailed("sorry", Problem("urn:ietf:params:acme:error:serverInternal")),
}
NOT_CURABLE: Mapping[str, AcmeManagerError] = {
    "caa": IssuanceFailed("CAA forbids it", Problem("urn:ietf:params:acme:error:caa")),
    "dns": IssuanceFailed("no record", Problem("urn:ietf:params:acme:error:dns")),
    "our dns": DnsFailed("not written", server="192.0.2.53"),
    "storage": StorageUnavailable("sealed"),
    "rejected": IssuanceFailed("bad name", Problem("urn:ietf:params:acme:error:rejectedIdentifier")),
}


@pytest.mark.parametrize("error", CURABLE.values(), ids=CURABLE)
async def test_a_second_ca_stands_in_for_what_another_ca_can_cure(error: AcmeManagerError) -> None:
    second = second_ca()
    async with open_world(before=failing(error), fallback={"second": second}) as world:
        stored = await world.certificates.request(ALICE, wish())
        assert len(second.placed) == 1
        certificate = stored.certificate
        assert (certificate.issuer, certificate.issued_by, certificate.id) == ("test", "second", ID)
        assert world.state.certificates.get(ID.key) == certificate
        assert world.issuing.unfinished == {}
        await world.certificates.delete(certificate.id, revoke=True)
        assert len(second.revoked) == 1  # who has issued it revokes it
        assert world.ca.revoked == []


@pytest.mark.parametrize("error", NOT_CURABLE.values(), ids=NOT_CURABLE)
async def test_what_another_ca_can_not_cure_is_raised(error: AcmeManagerError) -> None:
    second = second_ca()
    async with open_world(before=failing(error), fallback={"second": second}) as world:
        with pytest.raises(type(error), match=str(error)):
            await world.certificates.request(ALICE, wish())
        assert second.placed == []


@pytest.mark.parametrize(
    ("caa", "stands_in"),
    [
        ((), True),
        (('0 issue "test.test"', '0 issue "second.test"'), True),
        (('0 issue "test.test"',), False),
        (('0 issue "second.test; validationmethods=dns-01"',), False),
        (('0 issue "second.test; accounturi=https://second.test/acct/7"',), True),
        (('0 issue "second.test; accounturi=https://second.test/acct/8"',), False),
    ],
)
async def test_caa_records_have_to_let_it(caa: tuple[str, ...], stands_in: bool) -> None:
    second, lookup = second_ca(), MemoryLookup({"example.com CAA": caa})
    away = failing(IssuerUnavailable("away"))
    async with open_world(before=away, fallback={"second": second}, lookup=lookup) as world:
        if stands_in:
            assert (await world.certificates.request(ALICE, wish())).certificate.issued_by == "second"
        else:
            with pytest.raises(IssuerUnavailable, match="away"):
                await world.certificates.request(ALICE, wish())
        assert len(second.placed) == stands_in


async def test_caa_records_that_can_not_be_looked_up_let_nobody_stand_in(
    autojump_clock: trio.testing.MockClock,
) -> None:
    second, lookup = second_ca(), MemoryLookup({})
    lookup.silent.add("example.com")
    away = failing(IssuerUnavailable("away"))
    async with open_world(before=away, fallback={"second": second}, lookup=lookup) as world:
        with pytest.raises(IssuerUnavailable, match="away"):
            await world.certificates.request(ALICE, wish())
        assert second.placed == []


async def test_they_are_tried_in_their_order_and_the_first_error_is_raised_when_all_fail() -> None:
    mute = second_ca(failing(IssuerUnavailable("no facts"), at="facts"))
    slow = second_ca(failing(IssuerUnavailable("slow")))
    good = second_ca()
    async with open_world(
        before=failing(IssuerUnavailable("away")), fallback={"mute": mute, "slow": slow, "good": good}
    ) as world:
        assert (await world.certificates.request(ALICE, wish())).certificate.issued_by == "good"
        assert mute.placed == []
    slow = second_ca(failing(IssuanceFailed("CAA", Problem("urn:ietf:params:acme:error:caa"))))
    async with open_world(before=failing(IssuerUnavailable("away")), fallback={"slow": slow}) as world:
        with pytest.raises(IssuerUnavailable, match="away"):
            await world.certificates.request(ALICE, wish())


async def test_the_next_renewal_asks_the_own_issuer_first_and_it_takes_over_again() -> None:
    second = second_ca()
    async with open_world(before=failing(IssuerUnavailable("away")), fallback={"second": second}) as world:
        first = await world.certificates.request(ALICE, wish())
        assert first.certificate.issued_by == "second"
        changed = await world.certificates.update(ALICE, wish(san="www.example.com", revoke=True))
        assert changed.certificate.issued_by == ""
        assert len(world.ca.placed) == 1
        assert len(second.revoked) == 1  # the old one, by the CA that issued it


async def test_what_belongs_to_another_ca_is_not_asked_of_the_stand_in() -> None:
    seen = []

    class Noting(MemoryCa):
        async def issue(self, request: OrderRequest, solver: Solver, **how: Any) -> Issued:
            seen.append((request.profile, request.days, request.replaces))
            return await super().issue(request, solver, **how)

    second = Noting()
    second.said = IssuerFacts(caa_identities=("letsencrypt.org",), profiles={"shared": ""}, account="a")
    away = [IssuerUnavailable("away")] * 2
    async with open_world(before=failing(*away), fallback={"second": second}) as world:
        stored = await world.certificates.request(ALICE, wish(profile="own", days=60))
        assert (stored.certificate.profile, stored.certificate.days) == ("own", 60)  # the wish stays what it was
        await world.certificates.request(ALICE, wish(profile="shared", name="other"))
    assert seen == [("", 0, ""), ("shared", 0, "")]


async def test_an_order_of_a_stand_in_is_taken_up_by_the_next_leader_where_it_was_placed() -> None:
    storage, reached = MemoryStorage(FixedClock()), trio.Event()

    async def hang(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if step == "validate" and not reached.is_set():
            reached.set()
            await trio.sleep_forever()

    second = second_ca(hang)
    away = failing(IssuerUnavailable("away"))
    async with open_world(storage, before=away, fallback={"second": second}) as world, trio.open_nursery() as nursery:
        nursery.start_soon(world.certificates.request, ALICE, wish())
        await reached.wait()
        nursery.cancel_scope.cancel()
    assert len(second.placed) == 1

    async with open_world(storage, fallback={"second": second}) as world:
        await settled(world)
        assert second.resumed == second.placed
        assert world.ca.placed == world.ca.resumed == []
        assert (await world.certificates.get(ID)).certificate.issued_by == "second"
        assert world.issuing.unfinished == {}
        assert await world.issuing.journal.read_all() == []


async def test_an_order_that_the_stand_in_can_not_finish_goes_back_to_the_own_issuer() -> None:
    storage = MemoryStorage(FixedClock())
    second = second_ca(failing(*[IssuerUnavailable("gone, too")] * 2, at="finalize"))
    async with open_world(storage, before=failing(IssuerUnavailable("away")), fallback={"second": second}) as world:
        with pytest.raises(IssuerUnavailable, match="away"):
            await world.certificates.request(ALICE, wish())
    async with open_world(storage, fallback={"second": second}) as world:
        await settled(world)
        assert len(second.resumed) == 1
        assert (await world.certificates.get(ID)).certificate.issued_by == ""
        assert len(world.ca.placed) == 1


async def test_an_order_at_a_stand_in_that_is_configured_no_more_is_given_up() -> None:
    storage = MemoryStorage(FixedClock())
    second = second_ca(failing(IssuerUnavailable("gone, too"), at="finalize"))
    async with open_world(storage, before=failing(IssuerUnavailable("away")), fallback={"second": second}) as world:
        with pytest.raises(IssuerUnavailable, match="away"):
            await world.certificates.request(ALICE, wish())
    async with open_world(storage, load=False) as world:
        (record,) = await world.issuing.read_journal()
        assert record.ordered.issuer == "second"
        world.jobs.admit()
        world.state.announce_complete(world.cluster.stamp())
        stored = await world.certificates.request(ALICE, wish(san="www.example.com"))
        assert stored.certificate.issued_by == ""
        assert await world.issuing.journal.read_all() == []


async def test_a_timeout_of_the_own_issuer_leaves_time_for_the_stand_in(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def hang(step: str) -> None:
        if step == "finalize":
            await trio.sleep_forever()

    second = second_ca()
    async with open_world(before=hang, common=Common(cert_timeout=30), fallback={"second": second}) as world:
        began = trio.current_time()
        stored = await world.certificates.request(ALICE, wish())
        assert stored.certificate.issued_by == "second"
        assert trio.current_time() - began == pytest.approx(30, abs=1)
