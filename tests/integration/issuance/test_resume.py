"""An order that another process has placed is taken up from wherever it stands, at a real Pebble."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from acme_manager.domain.keys import belong_together
from acme_manager.errors import IssuanceFailed
from acme_manager.issuance.issuer import AcmeIssuer
from acme_manager.ports import OrderRequest, PlacedOrder, Step
from tests.integration.issuance.helpers import DnsSolver, Record, issue, make_request, opened
from tests.parts.challtestsrv import challtestsrv
from tests.parts.pebble import pebble


async def _die_at(step: Step, issuer: AcmeIssuer, request: OrderRequest, solver: DnsSolver) -> PlacedOrder:
    """Begin an issuance, and be cancelled at a step."""
    record = Record()
    with trio.CancelScope() as scope:

        def on_step(reached: Step) -> None:
            if reached is step:
                scope.cancel()

        await issuer.issue(request, solver, placed=record.on_placed, step=on_step)
    return record.placed[-1]


@pytest.mark.parametrize("step", [Step.PRESENTED, Step.VALIDATED, Step.FINALIZED])
async def test_an_order_goes_on_where_its_process_died(tmp_path: Path, step: Step) -> None:
    request = make_request("a.example.org", "b.example.org")
    async with challtestsrv(tmp_path) as world, pebble(tmp_path, dns=world.dns) as ca:
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer:
            left = await _die_at(step, issuer, request, DnsSolver(world))
        for trace in left.traces:  # as if nobody had cleaned up
            await world.set_txt(trace["host"], trace["value"])
        record = Record()
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer:
            issued = await issue(issuer, request, DnsSolver(world), record=record, resume=left)
        for trace in left.traces:
            assert await world.txt(trace["host"]) == set()
    assert {order.url for order in record.placed} == {left.url}
    assert belong_together(issued.chain, request.csr)


async def test_a_finished_order_gives_its_certificate_again(tmp_path: Path) -> None:
    request, record, again = make_request("a.example.org"), Record(), Record()
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        first = await issue(issuer, request, DnsSolver(world), record=record)
        second = await issue(issuer, request, DnsSolver(world), record=again, resume=record.placed[-1])
    assert first == second
    assert again.placed[-1].url == record.placed[-1].url


async def test_a_finished_order_for_another_key_is_replaced(tmp_path: Path) -> None:
    record, again = Record(), Record()
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        await issue(issuer, make_request("a.example.org"), DnsSolver(world), record=record)
        request = make_request("a.example.org")
        issued = await issue(issuer, request, DnsSolver(world), record=again, resume=record.placed[-1])
    assert belong_together(issued.chain, request.csr)
    assert again.placed[-1].url != record.placed[-1].url


@pytest.mark.parametrize("what", ["forgotten", "never was", "failed", "other names"])
async def test_an_order_of_no_use_is_cleaned_up_after_and_replaced(tmp_path: Path, what: str) -> None:
    request, record = make_request("a.example.org"), Record()
    async with challtestsrv(tmp_path) as world, pebble(tmp_path, dns=world.dns) as ca:
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer:
            placed_for = make_request("b.example.org") if what == "other names" else request
            left = await _die_at(Step.PRESENTED, issuer, placed_for, DnsSolver(world, lying=what == "failed"))
            if what == "failed":
                await _fail(issuer, request, DnsSolver(world, lying=True), left)
            if what == "forgotten":
                await ca.restart()
            if what == "never was":
                left = PlacedOrder(left.url + "0", left.traces)
            for trace in left.traces:
                await world.set_txt(trace["host"], trace["value"])
            await issue(issuer, request, DnsSolver(world), record=record, resume=left)
        for trace in left.traces:
            assert await world.txt(trace["host"]) == set()
            assert trace in record.placed[0].traces or what in {"never was", "other names"}
    assert record.placed[-1].url != left.url


async def _fail(issuer: AcmeIssuer, request: OrderRequest, solver: DnsSolver, left: PlacedOrder) -> None:
    with trio.fail_after(10), pytest.raises(IssuanceFailed, match="Correct value not found"):
        await issuer.issue(request, solver, placed=Record().on_placed, step=Record().on_step, resume=left)


async def test_an_order_of_another_account_is_replaced_by_one_of_ours(tmp_path: Path) -> None:
    """As after the account was given up: nobody can go on with its order, but with the wish."""
    request, record = make_request("a.example.org"), Record()
    async with challtestsrv(tmp_path) as world, pebble(tmp_path, dns=world.dns) as ca:
        for node in ("one", "two"):
            (tmp_path / node).mkdir()
        async with opened(ca.directory, tmp_path / "one", ca=ca.ca_pem) as issuer:
            left = await _die_at(Step.PRESENTED, issuer, request, DnsSolver(world))
        for trace in left.traces:
            await world.set_txt(trace["host"], trace["value"])
        async with opened(ca.directory, tmp_path / "two", ca=ca.ca_pem) as issuer:
            issued = await issue(issuer, request, DnsSolver(world), record=record, resume=left)
        for trace in left.traces:
            assert await world.txt(trace["host"]) == set()
    assert left.url not in {order.url for order in record.placed}
    assert belong_together(issued.chain, request.csr)
