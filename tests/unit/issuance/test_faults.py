"""What an issuer makes of a CA that fails, in virtual time."""

from __future__ import annotations

import itertools
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from acme_manager.config.model import Common
from acme_manager.domain.keys import belong_together
from acme_manager.errors import (
    AcmeManagerError,
    DirectoryUnavailable,
    IssuanceFailed,
    IssuerRateLimited,
    IssuerUnavailable,
)
from tests.unit.issuance.bench import MemorySolver, issue, make_request, opened
from tests.unit.issuance.fake_ca import BASE, NOW, FakeCa, Fault, problem


def _on(path: str, answer: httpx.Response | Exception) -> Fault:
    return lambda request: answer if request.url.path == path else None


def _away(request: httpx.Request) -> Exception:
    return httpx.ConnectError("connection refused", request=request)


def _closed(request: httpx.Request) -> Exception:
    return httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)


async def test_all_goes_well_when_the_ca_does(tmp_path: Path, autojump_clock: MockClock) -> None:
    ca, request, solver = FakeCa(), make_request(), MemorySolver()
    async with opened(ca, tmp_path) as issuer:
        issued = await issue(issuer, request, solver)
    assert belong_together(issued.chain, request.csr)
    assert issued.url == f"{BASE}/certificate/1"
    assert solver.visible == []


async def test_retry_after_in_seconds_is_waited_for(tmp_path: Path, autojump_clock: MockClock) -> None:
    busy = problem("serverInternal", 503, {"Retry-After": "30"})
    async with opened(FakeCa(faults=[lambda _: busy]), tmp_path) as issuer:
        start = trio.current_time()
        with trio.fail_after(60):
            await issue(issuer)
    assert 30 <= trio.current_time() - start < 31


async def test_retry_after_as_a_date_counts_from_the_cas_own_clock(tmp_path: Path, autojump_clock: MockClock) -> None:
    dates = {
        "Date": format_datetime(NOW - timedelta(days=400), usegmt=True),
        "Retry-After": format_datetime(NOW - timedelta(days=400) + timedelta(seconds=20), usegmt=True),
    }
    async with opened(FakeCa(faults=[lambda _: httpx.Response(503, headers=dates)]), tmp_path) as issuer:
        start = trio.current_time()
        await issue(issuer)
    assert 20 <= trio.current_time() - start < 21


@pytest.mark.parametrize(("code", "error"), [("rateLimited", IssuerRateLimited), ("serverInternal", IssuerUnavailable)])
async def test_a_retry_after_beyond_the_deadline_is_told_at_once(
    tmp_path: Path, autojump_clock: MockClock, code: str, error: type[IssuerRateLimited]
) -> None:
    status = 429 if code == "rateLimited" else 503
    ca = FakeCa()
    async with opened(ca, tmp_path) as issuer:
        await issuer.check()
        ca.faults = [lambda _: problem(code, status, {"Retry-After": "3600"}, detail="too many certificates")]
        start = trio.current_time()
        with trio.fail_after(240), pytest.raises(error, match="too many certificates") as caught:
            await issue(issuer)
    assert caught.value.retry_after == 3600
    assert trio.current_time() - start < 1


async def test_a_date_counts_from_our_clock_where_the_ca_does_not_tell_its_own(autojump_clock: MockClock) -> None:
    later = {"Retry-After": format_datetime(NOW + timedelta(hours=2), usegmt=True)}
    for answer in (httpx.Response(503, headers=later), httpx.Response(503, headers=later | {"Date": "today"})):
        async with opened(FakeCa(faults=[_on("/dir", answer)])) as issuer:
            with pytest.raises(IssuerUnavailable) as caught:
                await issue(issuer)
        assert caught.value.retry_after == 7200


@pytest.mark.parametrize("path", ["/newOrder", "/authz/1", "/challenge/1", "/finalize/1", "/certificate/1"])
@pytest.mark.parametrize("code", ["rateLimited", "serverInternal"])
async def test_wherever_an_order_meets_a_limit_the_cas_own_pause_is_told(
    autojump_clock: MockClock, path: str, code: str
) -> None:
    refusal = problem(code, 429 if code == "rateLimited" else 503, {"Retry-After": "3600"})

    def refuse(request: httpx.Request) -> httpx.Response | None:
        ca.faults.append(refuse)
        return refusal if request.url.path == path else None

    ca = FakeCa(faults=[refuse])
    async with opened(ca) as issuer:
        with pytest.raises(AcmeManagerError) as caught:
            await issue(issuer)
    error = caught.value
    assert isinstance(error, IssuerRateLimited if code == "rateLimited" else IssuerUnavailable)
    assert error.retry_after == 3600


async def test_nobody_waits_an_hour_even_without_a_deadline(tmp_path: Path, autojump_clock: MockClock) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "3600"})
    async with opened(FakeCa(faults=[lambda _: busy]), tmp_path) as issuer:
        with pytest.raises(IssuerUnavailable):
            await issue(issuer)


async def test_pauses_double_up_to_the_longest_and_end_after_the_last_retry(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ca = FakeCa(faults=[_away] * 99)
    async with opened(ca, tmp_path) as issuer:
        start = trio.current_time()
        with pytest.raises(IssuerUnavailable, match=r"GET https://ca\.test/dir: connection refused"):
            await issuer.check()
    assert len(ca.requests) == 6
    assert trio.current_time() - start == pytest.approx(1 + 2 + 4 + 8 + 10)


async def test_a_connection_that_was_closed_meanwhile_costs_no_pause(tmp_path: Path, autojump_clock: MockClock) -> None:
    ca = FakeCa(faults=[_closed])
    async with opened(ca, tmp_path) as issuer:
        start = trio.current_time()
        await issuer.check()
        assert trio.current_time() == start


async def test_a_configured_status_is_retried_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    common = Common(rootpath_account=tmp_path, http_client_retry_status_code=(418,))
    ca = FakeCa(faults=[lambda _: httpx.Response(418)])
    async with opened(ca, tmp_path, common=common) as issuer:
        await issuer.check()
    async with opened(FakeCa(faults=[lambda _: httpx.Response(418)]), tmp_path) as issuer:
        with pytest.raises(DirectoryUnavailable, match="418"):
            await issuer.check()


async def test_each_retry_is_signed_anew(tmp_path: Path, autojump_clock: MockClock) -> None:
    bodies: list[bytes] = []

    def busy(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != "/newOrder":
            return None
        bodies.append(request.content)
        return httpx.Response(503)

    ca = FakeCa()
    async with opened(ca, tmp_path) as issuer:
        await issuer.check()
        ca.faults = [busy, busy]
        await issue(issuer)
    assert len(set(bodies)) == 2


async def test_a_refused_nonce_is_replaced_by_the_one_that_comes_with_the_refusal(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ca = FakeCa()
    async with opened(ca, tmp_path) as issuer:
        await issuer.check()
        before = len(ca.requests)
        ca.faults = [lambda _: problem("badNonce")] * 10
        await issue(issuer)
    assert [path for _, path in ca.requests[before:]].count("/newOrder") == 11
    assert ("HEAD", "/newNonce") not in ca.requests[before:]


@pytest.mark.parametrize("path", ["/newOrder", "/challenge", "/finalize", "/certificate", "/authz", "/newAccount"])
async def test_an_answer_that_gets_lost_does_no_harm(tmp_path: Path, autojump_clock: MockClock, path: str) -> None:
    ca, request = FakeCa(lost=[path]), make_request()
    async with opened(ca, tmp_path) as issuer:
        issued = await issue(issuer, request)
    assert ca.lost == []
    assert belong_together(issued.chain, request.csr)


async def test_a_certificate_that_does_not_come_in_time_names_the_setting(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ca = FakeCa(order_says={})

    def processing(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.startswith("/finalize"):
            ca.order_says = {"status": "processing"}
        ca.faults.append(processing)
        return None

    ca.faults = [processing]
    async with opened(ca, tmp_path, certificate_timeout=7) as issuer:
        start = trio.current_time()
        with pytest.raises(IssuerUnavailable, match=r"still processing|certificate_timeout"):
            await issue(issuer)
    assert trio.current_time() - start <= 8


async def test_polls_start_small_and_grow(tmp_path: Path, autojump_clock: MockClock) -> None:
    ca = FakeCa(validates=False)
    times: list[float] = []

    def note(request: httpx.Request) -> None:
        if request.url.path.startswith("/order"):
            times.append(trio.current_time())
        ca.faults.append(note)

    ca.faults = [note]
    async with opened(ca, tmp_path) as issuer:
        with pytest.raises(IssuerUnavailable, match="the order is still pending"), trio.fail_after(30):
            await issue(issuer)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[:3] == pytest.approx([0.1, 0.15, 0.225])
    assert max(gaps) == pytest.approx(5.0)
    assert gaps[:11] == sorted(gaps[:11])


async def test_a_poll_waits_as_long_as_the_ca_asks_for(tmp_path: Path, autojump_clock: MockClock) -> None:
    ca = FakeCa(validates=False, order_headers={"Retry-After": "9"})
    async with opened(ca, tmp_path) as issuer:
        with pytest.raises(IssuerUnavailable, match="looked at again in 9 s"), trio.fail_after(20):
            await issue(issuer)
    assert [path for _, path in ca.requests].count("/order/1") == 2


async def test_a_refused_order_says_what_is_wrong_with_each_name(tmp_path: Path, autojump_clock: MockClock) -> None:
    below = [
        {
            "type": "urn:ietf:params:acme:error:rejectedIdentifier",
            "detail": "high risk",
            "identifier": {"type": "dns", "value": "bank.example"},
        },
        {
            "type": "urn:ietf:params:acme:error:caa",
            "detail": "CAA says no",
            "identifier": {"type": "dns", "value": "b.example"},
        },
    ]
    ca = FakeCa()
    async with opened(ca, tmp_path) as issuer:
        await issuer.check()
        ca.faults = [lambda _: problem("compound", 400, detail="2 names", subproblems=below)]
        with pytest.raises(IssuanceFailed, match=r"bank\.example: .*high risk; b\.example: CAA records.*") as caught:
            await issue(issuer)
    found = caught.value.problem
    assert found is not None
    assert [(one.code, one.identifier) for one in found.subproblems] == [
        ("rejectedIdentifier", "bank.example"),
        ("caa", "b.example"),
    ]


async def test_a_ca_can_not_send_us_to_plain_http(tmp_path: Path, autojump_clock: MockClock) -> None:
    for url in ("http://127.0.0.1:80/finalize", "ftp://ca.test/x", "http://169.254.169.254/latest", "https:///x"):
        ca = FakeCa(order_says={"finalize": url})
        async with opened(ca, tmp_path) as issuer:
            with pytest.raises(IssuanceFailed, match="must begin with https"):
                await issue(issuer)
        assert all("latest" not in path for _, path in ca.requests)


async def test_a_redirect_is_not_followed_but_told(tmp_path: Path, autojump_clock: MockClock) -> None:
    moved = httpx.Response(301, headers={"Location": "https://elsewhere.test/dir"})
    async with opened(FakeCa(faults=[lambda _: moved]), tmp_path) as issuer:
        with pytest.raises(DirectoryUnavailable, match=r"redirects to https://elsewhere\.test/dir"):
            await issuer.check()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{", b"[" * 100_000, b'{"status": 7}', b"\xff"])
async def test_an_answer_that_makes_no_sense_is_an_error_of_the_ca(
    tmp_path: Path, autojump_clock: MockClock, body: bytes
) -> None:
    ca = FakeCa()
    async with opened(ca, tmp_path) as issuer:
        await issuer.check()
        ca.faults = [_on("/newOrder", httpx.Response(201, content=body, headers={"Location": f"{BASE}/order/1"}))]
        with pytest.raises(IssuerUnavailable, match="the CA's answer"):
            await issue(issuer)


async def test_an_answer_without_end_is_cut_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with opened(FakeCa(faults=[lambda _: httpx.Response(200, content=b" " * 2_000_000)]), tmp_path) as issuer:
        with pytest.raises(IssuerUnavailable, match="more than 1048576 bytes"):
            await issuer.check()


async def test_a_page_that_is_no_directory_points_at_the_setting(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with opened(FakeCa(faults=[lambda _: httpx.Response(200, json={"hello": 1})]), tmp_path) as issuer:
        with pytest.raises(DirectoryUnavailable, match="ca_dir_url"):
            await issuer.check()


async def test_a_certificate_for_another_key_is_not_taken(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with opened(FakeCa(foreign_key=True), tmp_path) as issuer:
        with pytest.raises(IssuanceFailed, match="for another key"):
            await issue(issuer)


async def test_a_token_goes_into_the_key_authorization_as_it_came(tmp_path: Path, autojump_clock: MockClock) -> None:
    # Decoding this one and encoding it again gives another last character.
    ca, solver = FakeCa(token="abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq"), MemorySolver()
    async with opened(ca, tmp_path) as issuer:
        await issue(issuer, solver=solver)
    assert solver.seen[0].startswith("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq.")


async def test_requests_keep_to_the_limit_per_second(tmp_path: Path, autojump_clock: MockClock) -> None:
    ca = FakeCa()
    async with opened(ca, tmp_path, overall_request_limit=2, max_orders=50) as issuer:
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(issue, issuer)
    assert trio.current_time() - start >= (len(ca.requests) - 2) / 2 - 0.01


async def test_the_debug_log_has_the_exchange_and_no_secret(tmp_path: Path, autojump_clock: MockClock) -> None:
    ca = FakeCa()
    common = Common(rootpath_account=tmp_path, http_client_debug=True)
    with capture_logs() as logs:
        async with opened(ca, tmp_path, common=common, eab=True, kid="k", hmac="c2VjcmV0LXNlY3JldC1zZWNyZXQ") as issuer:
            await issue(issuer)
    exchanges = [line for line in logs if line["event"] == "exchange with the CA"]
    assert len(exchanges) == len(ca.requests)
    assert any(line["url"] == f"{BASE}/newOrder" and line["sent"]["identifiers"] for line in exchanges)
    text = repr(logs)
    assert ca.token not in text
    assert "c2VjcmV0" not in text
    assert "'externalAccountBinding': '***'" in text
    assert "BEGIN" not in text
