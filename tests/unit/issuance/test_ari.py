"""Renewal information (RFC 9773): what we call a certificate, and what we make of an answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs
from trio.testing import MockClock

from acme_manager.errors import IssuanceFailed, IssuerRateLimited, IssuerUnavailable
from acme_manager.issuance.ari import certificate_id, read_renewal_info
from acme_manager.issuance.wire import Unreadable
from acme_manager.ports import RenewalInfo
from tests.unit.issuance.bench import issue, make_request, opened
from tests.unit.issuance.fake_ca import FakeCa, problem

# RFC 9773 appendix A
LEAF = """-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
"""
NAME = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
START, END = datetime(2025, 1, 2, 4, tzinfo=UTC), datetime(2025, 1, 3, 4, tzinfo=UTC)
ANSWER = {
    "suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z"},
    "explanationURL": "https://acme.example.com/docs/ari",
}


def _leaf(serial: int, extension: x509.ExtensionType | None) -> x509.Certificate:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    if extension:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


def test_the_rfcs_own_certificate_has_the_rfcs_own_name() -> None:
    assert certificate_id(x509.load_pem_x509_certificate(LEAF.encode())) == NAME


@pytest.mark.parametrize(
    ("serial", "name"), [(1, "AQ"), (0x7F, "fw"), (0x80, "AIA"), (0xFF, "AP8"), (0x100, "AQA"), (0x8000, "AIAA")]
)
def test_a_serial_that_would_look_negative_has_a_zero_before_it(serial: int, name: str) -> None:
    assert certificate_id(_leaf(serial, x509.AuthorityKeyIdentifier(b"\xfb\xef", None, None))) == f"--8.{name}"


def test_a_certificate_that_does_not_name_its_issuers_key_has_no_name() -> None:
    by_serial = x509.AuthorityKeyIdentifier(None, [x509.DNSName("ca.test")], 7)
    assert certificate_id(_leaf(1, None)) == certificate_id(_leaf(1, by_serial)) == ""


def test_an_answer_is_read() -> None:
    told = RenewalInfo(start=START, end=END, explanation="https://acme.example.com/docs/ari", ask_again=21600)
    assert read_renewal_info(ANSWER, 21600) == told


@pytest.mark.parametrize(("asked", "pause"), [(None, 21600), (0, 60), (59, 60), (61, 61), (86400, 86400), (1e9, 86400)])
def test_the_pause_that_a_ca_asks_for_is_kept_within_bounds(asked: float | None, pause: float) -> None:
    assert read_renewal_info(ANSWER, asked).ask_again == pause


@pytest.mark.parametrize(
    "text", ["2025-01-02T05:00:00+01:00", "2025-01-02T04:00:00.000000000Z", "2025-01-02t04:00:00z"]
)
def test_every_spelling_of_rfc_3339_is_read(text: str) -> None:
    window = {"start": text, "end": "2025-01-03T04:00:00Z"}
    assert read_renewal_info({"suggestedWindow": window}, None).start == START


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", 7, None, "https://ca.test/" + "x" * 2000])
def test_an_explanation_that_is_no_link_is_left_out(url: object) -> None:
    assert read_renewal_info(ANSWER | {"explanationURL": url}, None).explanation == ""


@pytest.mark.parametrize(
    ("window", "complaint"),
    [
        (None, "'suggestedWindow' is no object"),
        ([], "'suggestedWindow' is no object"),
        ({"end": "2025-01-03T04:00:00Z"}, r"'suggestedWindow\.start' is no text"),
        ({"start": "2025-01-02T04:00:00Z", "end": 7}, r"'suggestedWindow\.end' is no text"),
        ({"start": "soon", "end": "later"}, r"'suggestedWindow\.start' is 'soon', which is no time"),
        ({"start": "2025-01-02T04:00:00", "end": "x"}, r"without an offset from UTC"),
        ({"start": "0001-01-01T00:00:00+23:00", "end": "x"}, "is no time"),
        ({"start": "2025-01-02T04:00:00Z", "end": "2025-01-02T04:00:00Z"}, "not after its start"),
        ({"start": "2025-01-02T04:00:00Z", "end": "2025-01-01T04:00:00Z"}, "not after its start"),
    ],
)
def test_an_answer_that_can_not_be_used_says_why(window: object, complaint: str) -> None:
    with pytest.raises(Unreadable, match=complaint):
        read_renewal_info({"suggestedWindow": window}, None)


def _told(status: int = 200, document: Any = ANSWER, retry_after: str | None = None) -> httpx.Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return httpx.Response(status, json=document, headers=headers)


async def test_a_ca_is_asked_without_a_signature_or_an_account(autojump_clock: MockClock) -> None:
    ca = FakeCa(renewal_info=_told(retry_after="3600"))
    async with opened(ca) as issuer:
        info = await issuer.renewal_info(LEAF)
    assert info == RenewalInfo(start=START, end=END, explanation=ANSWER["explanationURL"], ask_again=3600)  # type: ignore[arg-type]
    assert ca.requests == [("GET", "/dir"), ("GET", f"/renewalInfo/{NAME}")]


async def test_there_is_nothing_to_hear_from_a_ca_without_such_a_thing_or_about_a_certificate_it_does_not_know(
    autojump_clock: MockClock,
) -> None:
    nameless = (await _issued(FakeCa())).chain
    async with opened(FakeCa()) as issuer:
        assert await issuer.renewal_info(LEAF) is None
    ca = FakeCa(renewal_info=problem("malformed", 404))
    async with opened(ca) as issuer:
        assert await issuer.renewal_info(LEAF) is None
        assert await issuer.renewal_info(LEAF) is None
        assert await issuer.renewal_info(nameless) is None
        with pytest.raises(IssuanceFailed, match="no certificate"):
            await issuer.renewal_info("nonsense")
    assert [path for _, path in ca.requests] == ["/dir", *[f"/renewalInfo/{NAME}"] * 2]


@pytest.mark.parametrize(
    ("answer", "error", "retry_after"),
    [
        (_told(document={"suggestedWindow": {}}, retry_after="70"), IssuerUnavailable, 70),
        (_told(document=[]), IssuerUnavailable, 5),
        (_told(503, {}, "3600"), IssuerUnavailable, 3600),
        (problem("rateLimited", 429, {"Retry-After": "3600"}), IssuerRateLimited, 3600),
    ],
)
async def test_what_is_no_answer_is_an_error_with_the_cas_own_retry_after(
    autojump_clock: MockClock, answer: httpx.Response, error: type[IssuerUnavailable], retry_after: float
) -> None:
    async with opened(FakeCa(renewal_info=answer)) as issuer:
        with pytest.raises(error) as caught:
            await issuer.renewal_info(LEAF)
    assert caught.value.retry_after == retry_after


async def _issued(ca: FakeCa, **wanted: Any) -> Any:
    async with opened(ca) as issuer:
        return await issue(issuer, make_request(**wanted))


async def test_an_order_names_the_certificate_that_it_replaces_where_the_ca_wants_to_know(
    autojump_clock: MockClock,
) -> None:
    knowing, other = FakeCa(renewal_info=_told()), FakeCa()
    for ca in (knowing, other):
        await _issued(ca, replaces=LEAF)
        await _issued(ca, replaces="nonsense")
        await _issued(ca)
    assert [order.get("replaces") for order in knowing.placed] == [NAME, None, None]
    assert [order.get("replaces") for order in other.placed] == [None] * 3


@pytest.mark.parametrize("code", ["alreadyReplaced", "malformed", "unauthorized"])
async def test_an_order_whose_replaces_is_refused_is_placed_once_without_it(
    autojump_clock: MockClock, code: str
) -> None:
    ca = FakeCa(renewal_info=_told(), refuses_replaces=code)
    with capture_logs() as logs:
        await _issued(ca, replaces=LEAF)
    assert [order.get("replaces") for order in ca.placed] == [None]
    assert [path for _, path in ca.requests].count("/newOrder") == 2
    assert [line["reason"] for line in logs if line["event"] == "order placed anew without replaces"]


@pytest.mark.parametrize("code", ["rejectedIdentifier", "rateLimited"])
async def test_an_order_that_is_refused_for_something_else_is_not_placed_again(
    autojump_clock: MockClock, code: str
) -> None:
    ca = FakeCa(renewal_info=_told(), refuses_replaces=code)
    with pytest.raises(IssuanceFailed):
        await _issued(ca, replaces=LEAF)
    assert [path for _, path in ca.requests].count("/newOrder") == 1
