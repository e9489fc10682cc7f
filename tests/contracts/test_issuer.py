"""What every adapter of ports.Issuer keeps to: the ACME one on a real CA, and the one in memory that tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

from acme_manager.domain.keys import KeyType, belong_together, describe, key_to_pem, make_key
from acme_manager.errors import IssuanceFailed
from acme_manager.ports import Challenge, Issuer, PlacedOrder, Step, Trace
from tests.fakes.ca import MemoryCa
from tests.integration.issuance.helpers import make_foreign_leaf, make_request, opened
from tests.parts.pebble import pebble


@attrs.define
class Diary:
    """A solver that the CA needn't look at, and everything that an issuer told, in order."""

    type: str = "dns-01"
    lines: list[str] = attrs.field(factory=list)
    placed: list[PlacedOrder] = attrs.field(factory=list)

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        self.lines.append("plan")
        return [{"name": one.identifier.value, "token": one.token} for one in challenges]

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:
        self.lines.append("present")
        try:
            yield
        finally:
            self.lines.append("take away")

    async def remove(self, traces: Sequence[Trace]) -> None:
        self.lines.append("take away")

    async def on_placed(self, order: PlacedOrder) -> None:
        self.lines.append("placed")
        self.placed.append(order)

    def on_step(self, step: Step) -> None:
        self.lines.append(step)


@pytest.fixture(params=["memory", "acme"])
async def issuer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Issuer]:
    if request.param == "memory":
        yield MemoryCa()
        return
    async with pebble(tmp_path, always_valid=True) as ca, opened(ca.directory, tmp_path, ca=ca.ca_pem) as acme:
        yield acme


async def test_the_chain_begins_with_a_leaf_for_the_key_and_the_names(issuer: Issuer) -> None:
    request, diary = make_request("a.example.test", "b.example.test"), Diary()
    issued = await issuer.issue(request, diary, placed=diary.on_placed, step=diary.on_step)
    assert belong_together(issued.chain, request.csr)
    assert set(describe(issued.chain).names) == set(request.identifiers)
    assert issued.chain.count("BEGIN CERTIFICATE") >= 2
    assert issued.url.startswith("https://")


async def test_an_order_is_told_before_anything_of_it_is_visible(issuer: Issuer) -> None:
    diary = Diary()
    await issuer.issue(make_request("a.example.test"), diary, placed=diary.on_placed, step=diary.on_step)
    told = [line for line in diary.lines if line in {"plan", "placed", "present", "take away", Step.ISSUED}]
    assert told[:3] == ["plan", "placed", "present"]
    assert "take away" in told
    (order,) = diary.placed
    assert order.url.startswith("https://")
    assert [trace["name"] for trace in order.traces] == ["a.example.test"]


async def test_an_order_that_another_process_placed_is_taken_up_and_cleaned_up_after(issuer: Issuer) -> None:
    class Died(Exception):
        pass

    request, first, second = make_request("a.example.test"), Diary(), Diary()

    async def die(order: PlacedOrder) -> None:
        await first.on_placed(order)
        raise Died

    with pytest.raises(Died):
        await issuer.issue(request, first, placed=die, step=first.on_step)
    (order,) = first.placed
    issued = await issuer.issue(request, second, placed=second.on_placed, step=second.on_step, resume=order)
    assert belong_together(issued.chain, request.csr)
    assert {one.url for one in second.placed} <= {order.url}
    assert "take away" in second.lines


async def test_a_finished_order_gives_the_same_certificate_again(issuer: Issuer) -> None:
    request, diary, again = make_request("a.example.test"), Diary(), Diary()
    issued = await issuer.issue(request, diary, placed=diary.on_placed, step=diary.on_step)
    (order,) = diary.placed
    assert await issuer.issue(request, again, placed=again.on_placed, step=again.on_step, resume=order) == issued


async def test_an_order_may_name_a_certificate_that_it_replaces_whatever_the_ca_makes_of_that(issuer: Issuer) -> None:
    diary = Diary()
    first = await issuer.issue(make_request("a.example.test"), diary, placed=diary.on_placed, step=diary.on_step)
    for _ in range(2):  # the second time it has been replaced already
        request = make_request("a.example.test", replaces=first.chain)
        issued = await issuer.issue(request, diary, placed=diary.on_placed, step=diary.on_step)
        assert belong_together(issued.chain, request.csr)


async def test_a_ca_says_who_we_are_and_whether_it_can_be_asked_about_renewal(issuer: Issuer) -> None:
    diary = Diary()
    issued = await issuer.issue(make_request("a.example.test"), diary, placed=diary.on_placed, step=diary.on_step)
    facts = await issuer.facts()
    assert facts == await issuer.facts()
    assert facts.account.startswith("https://")
    info = await issuer.renewal_info(issued.chain)
    assert info is None or (facts.renewal_info and info.start < info.end)
    assert await issuer.renewal_info(make_foreign_leaf()) is None


async def test_a_certificate_is_revoked_with_its_own_key_and_with_no_other(issuer: Issuer) -> None:
    diary, key, other = Diary(), make_key(KeyType.EC256), make_key(KeyType.EC256)
    request = make_request("a.example.test", key=key)
    issued = await issuer.issue(request, diary, placed=diary.on_placed, step=diary.on_step)
    with pytest.raises(IssuanceFailed, match="not the certificate's"):
        await issuer.revoke(issued.chain, 1, private_key=key_to_pem(other))
    await issuer.revoke(issued.chain, 1, private_key=key_to_pem(key))
    await issuer.revoke(issued.chain, 1, private_key=key_to_pem(key))


async def test_revoking_twice_is_as_good_as_once(issuer: Issuer) -> None:
    diary = Diary()
    issued = await issuer.issue(make_request("a.example.test"), diary, placed=diary.on_placed, step=diary.on_step)
    await issuer.revoke(issued.chain, 4)
    await issuer.revoke(issued.chain, 4)
    await issuer.check()
