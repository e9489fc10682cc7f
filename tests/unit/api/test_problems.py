from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio

from acme_manager import errors
from acme_manager.api.problem_kinds import ALL_KINDS, KINDS
from acme_manager.errors import Problem
from tests.unit.api.world import open_api

PATH = "/api/v1/certificate/test/example.com"
_MALFORMED = Problem("urn:ietf:params:acme:error:malformed", "no such name")
_CAA = Problem(
    "urn:ietf:params:acme:error:compound",
    "two names failed",
    403,
    subproblems=(Problem("urn:ietf:params:acme:error:caa", "CAA forbids", identifier="a.example"),),
)

TABLE: list[tuple[Exception, int, str, str | None]] = [
    (errors.InvalidRequest("x", "days"), 400, "invalid-request", None),
    (errors.ConfigInvalid("x", ()), 400, "rejected", None),
    (errors.NotAuthenticated("x"), 401, "not-authenticated", None),
    (errors.MissingScope("read"), 403, "missing-scope", None),
    (errors.NameNotAllowed("x", "n"), 403, "name-not-allowed", None),
    (errors.CertificateNotFound("k"), 404, "certificate-not-found", None),
    (errors.TokenNotFound("k"), 404, "token-not-found", None),
    (errors.ChallengeNotFound("k"), 404, "challenge-not-found", None),
    (errors.CertificateExists("k"), 409, "certificate-exists", None),
    (errors.StaleVersion("k", 1), 409, "stale-version", None),
    (errors.OperationInProgress("k"), 429, "operation-in-progress", "5"),
    (errors.RateLimited("x", 0.2), 429, "rate-limited", "1"),
    (errors.RateLimited("x", 61.1), 429, "rate-limited", "62"),
    (errors.StorageUnavailable("x"), 503, "storage-unavailable", "5"),
    (errors.StorageDenied("x", 9), 503, "storage-denied", "9"),
    (errors.IssuerUnavailable("x"), 503, "issuer-unavailable", "5"),
    (errors.IssuanceFailed("x", _CAA), 500, "issuance-failed", None),
    (errors.IssuanceFailed("x", _MALFORMED), 400, "issuance-malformed", None),
    (errors.IssuerRateLimited("x", None, 30), 503, "issuer-rate-limited", "30"),
    (errors.IssuerRateLimited("x"), 503, "issuer-rate-limited", None),
    (errors.ChallengeFailed("x"), 500, "challenge-failed", None),
    (errors.DnsFailed("x"), 500, "dns-failed", None),
    (trio.TooSlowError(), 504, "too-slow", None),
    (ExceptionGroup("g", [errors.DnsFailed("x")]), 500, "dns-failed", None),
]


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def get(self, _id: Any) -> None:
        raise self.error


@pytest.mark.parametrize(("error", "status", "slug", "wait"), TABLE, ids=lambda value: str(value)[:40])
async def test_every_error_has_its_answer(error: Exception, status: int, slug: str, wait: str | None) -> None:
    async with open_api(replaced={"certificates": Failing(error)}) as api:
        answer = await api.client.get(PATH, headers=api.token())
        document = await answer.get_json()
        assert (answer.status_code, document["status"], document["type"]) == (status, status, f"/problems/{slug}")
        assert answer.headers.get("Retry-After") == wait
        assert document["error"] == document["err"] == document["detail"]
        assert document["request_id"] == answer.headers["X-Request-ID"]


def test_every_error_of_ours_has_a_kind_of_its_own_or_of_its_family() -> None:
    for _, error in inspect.getmembers(errors, inspect.isclass):
        if issubclass(error, errors.AcmeManagerError) and error is not errors.AcmeManagerError:
            assert set(error.__mro__) & set(KINDS) - {Exception}, error


async def test_what_the_ca_said_is_passed_on_whole() -> None:
    async with open_api(replaced={"certificates": Failing(errors.IssuanceFailed("failed", _CAA))}) as api:
        document = await (await api.client.get(PATH, headers=api.token())).get_json()
        assert document["issuer_problem"] == {
            "type": "urn:ietf:params:acme:error:compound",
            "detail": "two names failed",
            "status": 403,
            "subproblems": [
                {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids", "identifier": "a.example"}
            ],
        }


async def test_an_unforeseen_error_is_logged_once_and_not_shown() -> None:
    async with open_api(replaced={"certificates": Failing(RuntimeError("the password is hunter2"))}) as api:
        with structlog.testing.capture_logs() as lines:
            answer = await api.client.get(PATH, headers=api.token() | {"X-Request-ID": "r1"})
        text = await answer.get_data(as_text=True)
        assert answer.status_code == 500
        assert "hunter2" not in text
        assert "RuntimeError" not in text
        assert '"request_id":"r1"' in text
        failures = [line for line in lines if line["log_level"] == "error"]
        assert [(line["request_id"], str(line["exc_info"])) for line in failures] == [("r1", "the password is hunter2")]


async def test_the_address_of_a_type_explains_it() -> None:
    async with open_api() as api:
        for kind in ALL_KINDS:
            page = await api.client.get(f"/problems/{kind.slug}")
            assert page.status_code == 200
            assert kind.remedy in await page.get_data(as_text=True)
        assert (await api.client.get("/problems/nothing")).status_code == 404


def test_slugs_are_unique_and_documented() -> None:
    slugs = [kind.slug for kind in ALL_KINDS]
    assert len(set(slugs)) == len(slugs)
    text = Path("docs/problems.md").read_text()
    for kind in ALL_KINDS:
        assert f"## {kind.slug}\n\n{kind.status}: {kind.title}.\n\n{kind.remedy}\n" in text
