from __future__ import annotations

import pytest

from acme_manager.domain.caa import Asker, CaaRecord, CaaSet, CaaVerdict, Grant, evaluate, parse_grant

OURS = "https://ca.test/acct/1"
ASKER = Asker(identities=("ca.test", "also.ca.test"), account=OURS, method="dns-01")


def caa(*records: str) -> CaaSet:
    """Records as zone files have them: `0 issue ca.test`."""
    split = (one.split(" ", 2) for one in records)
    return CaaSet(
        at="example.com",
        records=tuple(CaaRecord(flags=int(flags), tag=tag, value=value) for flags, tag, value in split),
    )


def verdict(*records: str, wildcard: bool = False, asker: Asker = ASKER) -> CaaVerdict:
    return evaluate(caa(*records), asker, wildcard=wildcard)


@pytest.mark.parametrize(
    "records",
    [
        (),
        ("0 issue ca.test",),
        ("0 issue CA.Test",),
        ("0 ISSUE also.ca.test",),
        ("0 issue other.test", "0 issue ca.test"),
        ("0 issue \t ca.test ; ",),
        ("128 issue ca.test",),
        ("0 issuewild other.test",),
        ("0 iodef mailto:a@example.com",),
        ("128 issuemail ;",),
        ("0 tbs unknown", "0 issue ca.test"),
        ("0 issue ca.test; unknown=1",),
        (f"0 issue ca.test; accounturi={OURS}",),
        (f"0 issue ca.test;AccountURI = {OURS} ; validationmethods=http-01,dns-01",),
        (f"0 issue ca.test; accounturi={OURS}2", "0 issue ca.test"),
    ],
)
def test_these_allow_it(records: tuple[str, ...]) -> None:
    assert verdict(*records).allowed is True


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (("0 issue other.test",), "is for another CA"),
        (("0 issue ;",), "allows nobody"),
        (("0 issue ",), "allows nobody"),
        (("0 issue ca.test.",), "malformed"),
        (("0 issue ca..test",), "malformed"),
        (("0 issue ca_test",), "malformed"),
        (("0 issue ca.test other.test",), "malformed"),
        (("0 issue ca.test; accounturi",), "malformed"),
        (("0 issue ca.test; a=b;",), "malformed"),
        (("0 issue ca.test; a=b c",), "malformed"),
        (("0 issue ca.test; validationmethods=é",), "malformed"),
        (("128 tbs anything", "0 issue ca.test"), "is critical"),
        (("129 tbs anything",), "is critical"),
        ((f"0 issue ca.test; accounturi={OURS}2",), f"another account than ours, {OURS}"),
        (("0 issue ca.test; accounturi=",), "another account"),
        ((f"0 issue ca.test; accounturi={OURS}; accounturi={OURS}",), "twice"),
        (("0 issue ca.test; validationmethods=http-01",), "does not allow the method dns-01"),
        (("0 issue ca.test; validationmethods=",), "does not allow the method dns-01"),
        (("0 issue ca.test; validationmethods=dns-01,,http-01",), "malformed 'validationmethods'"),
        (("0 issue ca.test; validationmethods=dns-01; validationmethods=dns-01",), "twice"),
    ],
)
def test_these_forbid_it_and_say_why_and_where(records: tuple[str, ...], why: str) -> None:
    found = verdict(*records)
    assert found.allowed is False
    assert why in found.why
    assert "at example.com" in found.why
    assert "example.com" in found.remedy


def test_issuewild_alone_counts_for_a_wildcard_and_for_nothing_else() -> None:
    records = ("0 issue ca.test", "0 issuewild other.test")
    assert verdict(*records).allowed is True
    refused = verdict(*records, wildcard=True)
    assert refused.allowed is False
    assert refused.remedy == 'add the record: example.com. CAA 0 issuewild "ca.test"'
    assert verdict("0 issue other.test", "0 issuewild ca.test", wildcard=True).allowed is True


def test_without_issuewild_a_wildcard_goes_by_issue() -> None:
    assert verdict("0 issue ca.test", wildcard=True).allowed is True
    assert verdict("0 issue other.test", wildcard=True).allowed is False


def test_an_account_that_is_not_known_satisfies_no_accounturi() -> None:
    unknown = Asker(identities=("ca.test",), method="dns-01")
    for value in ("", OURS):
        assert verdict(f"0 issue ca.test; accounturi={value}", asker=unknown).allowed is False


def test_of_a_ca_that_does_not_say_its_name_it_can_not_be_told() -> None:
    nameless = Asker(identities=())
    found = verdict("0 issue ca.test", asker=nameless)
    assert found.allowed is None
    assert 'CAA 0 issue "ca.test" at example.com' in found.why
    assert verdict("0 iodef mailto:a@example.com", asker=nameless).allowed is True
    assert verdict("0 issue ;", "0 issue bad..name", asker=nameless).allowed is False


def test_the_remedy_is_as_strict_as_what_is_there() -> None:
    found = verdict("0 issue other.test; accounturi=https://other.test/1; validationmethods=dns-01")
    assert found.remedy == (
        f'add the record: example.com. CAA 0 issue "ca.test; accounturi={OURS}; validationmethods=dns-01"'
    )


def test_a_record_is_shown_as_a_zone_file_has_it() -> None:
    assert str(CaaRecord(flags=128, tag="issue", value='a"b\\c\x07é')) == '128 issue "a\\"b\\\\c\\007\\233"'


def test_a_grant_has_its_parameters_in_their_order() -> None:
    assert parse_grant("ca.test; b=2 ;a=1=x") == Grant(domain="ca.test", parameters=(("b", "2"), ("a", "1=x")))
