"""dns-persist-01: which records let our account have certificates, and what is told where none does."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.dns.challenge import challenge_name, split_method
from acme_manager.dns.persist import Grant, PersistSolver
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import DnsFailed
from acme_manager.ports import Challenge
from tests.fakes.dns import MemoryLookup

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = int(AT.timestamp())
ACCOUNT = "https://ca.test/acct/1"
GRANT = Grant(issuers=("ca.test", "other.test"), account=ACCOUNT)
WIDE = attrs.evolve(GRANT, wildcard=True)


class At:
    def now(self) -> datetime:
        return AT


def challenge(name: str, *, wildcard: bool = False, issuers: tuple[str, ...] = GRANT.issuers) -> Challenge:
    return Challenge(
        parse_identifier(name), "dns-persist-01", "", "", account=ACCOUNT, wildcard=wildcard, issuers=issuers
    )


@pytest.mark.parametrize(
    ("grant", "value", "given"),
    [
        (GRANT, f"ca.test; accounturi={ACCOUNT}", True),
        (GRANT, f"OTHER.test.;accounturi={ACCOUNT};", True),
        (GRANT, f"ca.test; accounturi={ACCOUNT}; policy=wildcard; unknown=1", True),
        (GRANT, f"ca.test; accounturi={ACCOUNT}; persistUntil={NOW}", True),
        (GRANT, f"ca.test; accounturi={ACCOUNT}; persistUntil={NOW - 1}", False),
        (GRANT, f"ca.test; accounturi={ACCOUNT}; persistUntil=soon", False),
        (GRANT, f"ca.test; accounturi={ACCOUNT}2", False),
        (GRANT, f"ca.test; accounturi={ACCOUNT.upper()}", False),
        (GRANT, f"evil.test; accounturi={ACCOUNT}", False),
        (GRANT, "ca.test", False),
        (GRANT, f"ca.test; accounturi={ACCOUNT}; accounturi={ACCOUNT}", False),
        (GRANT, "", False),
        (WIDE, f"ca.test; accounturi={ACCOUNT}", False),
        (WIDE, f"ca.test; ACCOUNTURI={ACCOUNT}; Policy=WildCard", True),
        (WIDE, f"ca.test; accounturi={ACCOUNT}; policy=all", False),
    ],
)
def test_what_a_record_gives(grant: Grant, value: str, given: bool) -> None:
    assert grant.given(value, AT) is given


@given(value=st.text())
def test_no_text_is_more_than_a_no(value: str) -> None:
    assert GRANT.given(value, AT) is False


@pytest.mark.parametrize("grant", [GRANT, WIDE])
def test_the_record_that_is_asked_for_is_enough(grant: Grant) -> None:
    assert grant.given(grant.value(), AT)


async def test_all_records_that_are_missing_are_told_and_the_others_not() -> None:
    lookup = MemoryLookup({"_validation-persist.a.test TXT": [f'"ca.test; " "accounturi={ACCOUNT}"']})
    solver = PersistSolver(lambda: lookup, At())
    assert await solver.plan([challenge("a.test")]) == ()
    wanted = (
        f'create: _validation-persist.a.test. IN TXT "ca.test; accounturi={ACCOUNT}; policy=wildcard",'
        f' _validation-persist.b.test. IN TXT "ca.test; accounturi={ACCOUNT}"'
    )
    with pytest.raises(DnsFailed) as caught:
        await solver.plan([challenge("a.test", wildcard=True), challenge("b.test")])
    assert str(caught.value).endswith(wanted)
    assert caught.value.cause == "input"


async def test_a_ca_that_does_not_say_its_name_and_an_address_are_told() -> None:
    solver = PersistSolver(lambda: MemoryLookup({}), At())
    for one in (challenge("a.test", issuers=()), challenge("192.0.2.1")):
        with pytest.raises(DnsFailed, match="does not say what a record would have to say"):
            await solver.plan([one])


async def test_nothing_is_written_and_nothing_of_others_is_taken_for_removed() -> None:
    solver = PersistSolver(lambda: MemoryLookup({}), At())
    async with solver.presented(()):
        await solver.remove(())
    with pytest.raises(DnsFailed, match="in another way"):
        await solver.remove([{"type": "dns-01"}])


def test_the_name_of_dns_account_01_is_the_draft_s() -> None:
    """The example of draft-ietf-acme-dns-account-label."""
    one = Challenge(
        parse_identifier("example.org"),
        "dns-account-01",
        "t",
        "t.k",
        account="https://example.com/acme/acct/ExampleAccount",
    )
    assert challenge_name(one) == "_ujmmovf2vn55tgye._acme-challenge.example.org"
    assert challenge_name(attrs.evolve(one, type="dns-01")) == "_acme-challenge.example.org"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rfc2136", ("dns-01", "rfc2136")),
        ("dns-persist-01", ("dns-persist-01", "")),
        ("dns-account-01/rfc2136", ("dns-account-01", "rfc2136")),
        ("dns-account-01", ("dns-01", "dns-account-01")),
        ("", ("dns-01", "")),
    ],
)
def test_a_dns_challenge_may_name_a_method(text: str, expected: tuple[str, str]) -> None:
    assert split_method(text) == expected
