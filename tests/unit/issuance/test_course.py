"""An order's course where Pebble can't take it: failing solvers, crashes, resuming, odd CAs. In virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from trio.testing import MockClock

from acme_manager.domain.keys import KeyType, belong_together, key_to_pem, make_key
from acme_manager.errors import DnsFailed, IssuanceFailed, IssuerRateLimited
from acme_manager.ports import IssuerFacts, PlacedOrder
from tests.unit.issuance.bench import MemorySolver, issue, make_request, opened
from tests.unit.issuance.fake_ca import BASE, FakeCa, problem

OLD = {"name": "www.example.org", "value": "from an earlier process"}


@pytest.mark.parametrize("how", ["fails_to_plan", "fails_to_present"])
async def test_a_solver_that_fails_lets_go_of_the_authorization(
    tmp_path: Path, autojump_clock: MockClock, how: str
) -> None:
    ca, solver = FakeCa(), MemorySolver()
    setattr(solver, how, True)
    async with opened(ca, tmp_path) as issuer:
        with pytest.raises(DnsFailed):
            await issue(issuer, solver=solver)
    assert ca.given_up == ["1"]
    assert ca.answered == 0


async def test_an_order_that_is_cancelled_stays_resumable(tmp_path: Path, autojump_clock: MockClock) -> None:
    ca, solver, placed = FakeCa(validates=False), MemorySolver(), list[PlacedOrder]()
    async with opened(ca, tmp_path) as issuer:
        request = make_request()
        with trio.move_on_after(10) as scope:
            with trio.CancelScope() as stop:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(lambda: issue(issuer, request, solver, placed=placed))
                    await trio.sleep(3)
                    stop.cancel()
        assert not scope.cancelled_caught
        assert solver.visible == []
        assert ca.given_up == []
        ca.validates = True
        issued = await issue(issuer, request, solver, resume=placed[0])
    assert belong_together(issued.chain, request.csr)
    assert len(ca.placed) == 1


async def test_traces_that_could_not_be_removed_are_remembered_with_the_new_order(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ca, solver, placed = FakeCa(), MemorySolver(fails_to_remove=True), list[PlacedOrder]()
    async with opened(ca, tmp_path) as issuer:
        with capture_logs() as logs:
            resume = PlacedOrder(f"{BASE}/order/unknown", (OLD,))
            await issuer.check()
            ca.faults = [lambda _: problem("malformed", 404)]
            await issue(issuer, solver=solver, placed=placed, resume=resume)
    assert OLD in placed[0].traces
    assert any(line["event"] == "challenge of an earlier process not removed" for line in logs)


async def test_old_traces_go_even_when_the_new_order_fails(tmp_path: Path, autojump_clock: MockClock) -> None:
    ca, solver = FakeCa(), MemorySolver(visible=[OLD])
    async with opened(ca, tmp_path) as issuer:
        await issuer.check()
        ca.faults = [lambda _: problem("malformed", 404), lambda _: problem("rejectedIdentifier", 400)]
        with pytest.raises(IssuanceFailed, match="does not issue for the name"):
            await issue(issuer, solver=solver, resume=PlacedOrder(f"{BASE}/order/9", (OLD,)))
    assert solver.visible == []


async def test_the_account_is_registered_once_more_when_the_ca_has_forgotten_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ca = FakeCa()
    async with opened(ca, tmp_path, max_orders=8) as issuer:
        await issue(issuer)
        ca.forget_accounts()
        before = len(ca.requests)
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(issue, issuer)
    assert [path for _, path in ca.requests[before:]].count("/newAccount") == 2  # looked for, then registered


async def test_a_profile_is_passed_on_or_refused_by_what_the_ca_offers(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ca = FakeCa(meta={"profiles": {"classic": "", "shortlived": ""}})
    async with opened(ca, tmp_path) as issuer:
        await issue(issuer, make_request(profile="shortlived", days=10))
        with pytest.raises(IssuanceFailed, match="no profile 'tls'; it has: classic, shortlived"):
            await issue(issuer, make_request(profile="tls"))
    assert ca.placed[0]["profile"] == "shortlived"
    assert ca.placed[0]["notAfter"] == "2026-01-12T00:00:00Z"
    assert len(ca.placed) == 1


@pytest.mark.parametrize(
    ("meta", "message"), [({"externalAccountRequired": True}, "set eab, kid and hmac"), ({"profiles": 7}, "profiles")]
)
async def test_a_directory_says_more_than_urls(
    tmp_path: Path, autojump_clock: MockClock, meta: dict[str, Any], message: str
) -> None:
    async with opened(FakeCa(meta=meta), tmp_path) as issuer:
        if "profiles" in meta:
            await issue(issuer)  # what isn't asked for does no harm
            return
        with pytest.raises(IssuanceFailed, match=message):
            await issuer.check()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, "issued"),
        (problem("rateLimited", 429, {"Retry-After": "999"}), "rate_limited"),
        (problem("badCSR"), "failed"),
        (httpx.Response(503, headers={"Retry-After": "999"}), "unavailable"),
    ],
)
async def test_every_order_is_counted_by_its_outcome(
    tmp_path: Path, autojump_clock: MockClock, answer: httpx.Response | None, outcome: str
) -> None:
    ca, registry = FakeCa(), CollectorRegistry()
    async with opened(ca, tmp_path, registry=registry) as issuer:
        await issuer.check()
        ca.faults = [lambda _: answer]
        if answer is None:
            await issue(issuer)
        else:
            with pytest.raises(Exception, match="issuer 'ca'"):
                await issue(issuer)
    labels = {"issuer": "ca", "outcome": outcome}
    assert registry.get_sample_value("acme_manager_issuer_orders_total", labels) == 1
    assert registry.get_sample_value("acme_manager_issuer_requests_total", {"issuer": "ca", "status": "201"})


async def test_a_rate_limit_met_while_validating_keeps_its_kind(tmp_path: Path, autojump_clock: MockClock) -> None:
    said = {"status": "invalid", "error": {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many"}}
    for headers, retry_after in ({"Retry-After": "3600"}, 3600), ({}, None):
        async with opened(FakeCa(order_says=said, order_headers=headers), tmp_path) as issuer:
            with pytest.raises(IssuerRateLimited, match="too many") as caught:
                await issue(issuer)
        assert caught.value.retry_after == retry_after


async def test_an_expired_certificate_is_not_revoked_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    ca = FakeCa()
    async with opened(ca, tmp_path) as issuer:
        issued = await issue(issuer)
        ca.faults = [lambda _: problem("badRevocationReason"), lambda _: problem("alreadyRevoked")]
        await issuer.revoke(issued.chain, 4)
        assert ca.faults == []
        ca.faults = [lambda _: problem("badRevocationReason")]
        with pytest.raises(IssuanceFailed, match="revoke"):
            await issuer.revoke(issued.chain)


async def test_a_certificate_can_be_revoked_with_its_own_key_and_then_needs_no_account(
    autojump_clock: MockClock,
) -> None:
    ca, key = FakeCa(), make_key(KeyType.EC256)
    async with opened(ca) as issuer:
        issued = await issue(issuer, make_request(key=key))
        await issuer.revoke(issued.chain, 1)
    async with opened(ca, unregister=True) as issuer:
        await issuer.revoke(issued.chain, 1, private_key=key_to_pem(key))
        with pytest.raises(IssuanceFailed, match="not the certificate's"):
            await issuer.revoke(issued.chain, 1, private_key=key_to_pem(make_key(KeyType.EC256)))
        with pytest.raises(IssuanceFailed, match="not revoked") as caught:
            await issuer.revoke(issued.chain, 1, private_key="precious")
        assert "precious" not in str(caught.value)
    by_account, by_key = ca.revoked
    assert by_account["kid"].startswith(f"{BASE}/account/")
    assert by_key == {**by_account, "kid": ""}


async def test_what_a_ca_says_about_itself_is_read_as_far_as_it_makes_sense(autojump_clock: MockClock) -> None:
    meta = {"caaIdentities": ["ca.test", 7], "profiles": {"classic": "https://ca.test/classic", "short": None}}
    async with opened(FakeCa(meta=meta, renewal_info=httpx.Response(404))) as issuer:
        facts = await issuer.facts()
    assert facts.account.startswith(f"{BASE}/account/")
    assert facts == IssuerFacts(
        caa_identities=("ca.test",),
        profiles={"classic": "https://ca.test/classic", "short": ""},
        renewal_info=True,
        account=facts.account,
    )
    async with opened(FakeCa(meta={"caaIdentities": 7, "profiles": []}), unregister=True) as issuer:
        assert await issuer.facts() == IssuerFacts()
