from __future__ import annotations

import pytest

from acme_manager import errors
from acme_manager.domain.causes import Cure, backoff, classify

DAY = 86400.0


def refused(code: str, *below: str) -> errors.IssuanceFailed:
    inner = tuple(errors.Problem(type=f"urn:ietf:params:acme:error:{one}") for one in below)
    return errors.IssuanceFailed(code, errors.Problem(type=f"urn:ietf:params:acme:error:{code}", subproblems=inner))


@pytest.mark.parametrize(
    ("error", "name", "cure"),
    [
        (errors.IssuerRateLimited("slow", None, 60.0), "rate_limit", Cure.ANOTHER_CA),
        (errors.IssuerUnavailable("502"), "ca_unavailable", Cure.ANOTHER_CA),
        (errors.IssuanceTimedOut("240 s"), "timeout", Cure.ANOTHER_CA),
        (refused("serverInternal"), "ca_unavailable", Cure.ANOTHER_CA),
        (refused("caa"), "caa", Cure.PERSON),
        (refused("compound", "dns", "caa"), "caa", Cure.PERSON),
        (refused("compound", "connection", "dns"), "challenge", Cure.TIME),
        (refused("dns"), "dns", Cure.TIME),
        (refused("unauthorized"), "challenge", Cure.TIME),
        (refused("rejectedIdentifier"), "rejected", Cure.PERSON),
        (refused("somethingNew"), "rejected", Cure.PERSON),
        (refused("externalAccountRequired"), "account", Cure.PERSON),
        (errors.IssuanceFailed("the CA answered 404"), "rejected", Cure.TIME),
        (errors.DnsFailed("not visible after 60 s"), "dns", Cure.TIME),
        (errors.DnsFailed("bad key", cause="credentials"), "credentials", Cure.PERSON),
        (errors.DnsFailed("no such zone", cause="zone"), "unknown_zone", Cure.PERSON),
        (errors.DnsFailed("no answer", cause="unavailable"), "dns", Cure.TIME),
        (errors.StorageUnavailable("sealed"), "storage", Cure.TIME),
        (errors.NoQuorum("alone"), "cluster", Cure.TIME),
        (errors.InvalidRequest("invalid issuer"), "configuration", Cure.PERSON),
        (errors.AcmeManagerError("?"), "internal", Cure.TIME),
    ],
)
def test_a_failure_has_a_cause_and_something_that_cures_it(
    error: errors.AcmeManagerError, name: str, cure: Cure
) -> None:
    cause = classify(error)
    assert (cause.name, cause.cure, cause.sentence) == (name, cure, str(error))


def test_a_ca_s_figure_comes_with_the_cause_and_what_is_no_fault_of_the_certificate_does_not_count() -> None:
    assert classify(errors.IssuerRateLimited("slow", None, 60.0)).retry_after == 60.0
    assert classify(errors.IssuerUnavailable("502", 7.0)).counted
    assert not classify(errors.StorageUnavailable("sealed")).counted


@pytest.mark.parametrize(
    ("failures", "left", "least", "most"),
    [
        (1, 30 * DAY, 60, 72),
        (2, 30 * DAY, 600, 720),
        (3, 30 * DAY, 6000, 7200),
        (4, 30 * DAY, DAY, 1.2 * DAY),
        (9, 30 * DAY, DAY, 1.2 * DAY),
        (9, 2 * DAY, 0.2 * DAY, 0.2 * DAY),
        (9, 600, 900, 900),
        (9, -DAY / 4, 3600, 3600),
        (9, -2 * DAY, 0.2 * DAY, 0.2 * DAY),
        (9, -90 * DAY, DAY, 1.2 * DAY),
    ],
)
def test_the_wait_grows_with_failures_and_shrinks_towards_expiry(
    failures: int, left: float, least: float, most: float
) -> None:
    assert least <= backoff(failures, left, None, "o/i/a.example") <= most


def test_certificates_that_fail_together_do_not_come_back_together() -> None:
    assert len({round(backoff(4, 30 * DAY, None, f"o/i/{number}.example")) for number in range(100)}) > 90
