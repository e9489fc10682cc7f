from __future__ import annotations

import re

import pytest
import trio
from openapi_spec_validator import validate
from trio.testing import MockClock

from acme_manager.domain.names import parse_identifier
from acme_manager.ports import Challenge
from acme_manager.services.health import Health
from tests.unit.api.world import open_api


async def test_health_is_constant() -> None:
    async with open_api(load=False) as api:
        answer = await api.client.get("/health")
        assert (answer.status_code, await answer.get_data(as_text=True)) == (200, "Server is healthy")


async def test_ready_says_what_works_and_what_does_not() -> None:
    async def wrong() -> str:
        return "sealed"

    async def right() -> None:
        return None

    async with open_api(replaced={"health": Health({"vault": wrong, "state": right})}) as api:
        answer = await api.client.get("/ready")
        assert answer.status_code == 503
        assert await answer.get_json() == {"ready": False, "parts": {"vault": "sealed", "state": "ok"}}
    async with open_api(replaced={"health": Health({"state": right})}) as api:
        answer = await api.client.get("/ready")
        assert (answer.status_code, (await answer.get_json())["ready"]) == (200, True)


async def test_ready_does_not_wait_for_a_part_that_hangs(autojump_clock: MockClock) -> None:
    async with open_api(replaced={"health": Health({"vault": trio.sleep_forever})}) as api:
        with trio.fail_after(6):
            answer = await api.client.get("/ready")
        assert answer.status_code == 503
        assert "within 5 s" in (await answer.get_json())["parts"]["checks"]


async def test_a_node_that_has_not_loaded_asks_callers_to_come_back() -> None:
    async with open_api(load=False) as api:
        answer = await api.client.get("/api/v1/certificate/metadata", headers=api.token())
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "2"


async def test_challenges_are_answered_with_nothing_but_the_key_authorization() -> None:
    async with open_api() as api:
        one = Challenge(parse_identifier("a.example"), "http-01", "tok-1", "tok-1.thumb")
        traces = await api.world.challenges.plan([one])
        async with api.world.challenges.presented(traces):
            answer = await api.client.get("/.well-known/acme-challenge/tok-1")
            assert (answer.status_code, await answer.get_data(as_text=True)) == (200, "tok-1.thumb")
        gone = await api.client.get("/.well-known/acme-challenge/tok-1")
        assert (gone.status_code, (await gone.get_json())["error"]) == (404, "challenge id 'tok-1' not found")
        assert (await api.client.get("/.well-known/acme-challenge/")).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/v1/certificate", "OPTIONS, POST, PUT"),
        ("POST", "/api/v1/certificate/test/example.com", "DELETE, GET, HEAD, OPTIONS"),
        ("DELETE", "/health", "GET, HEAD, OPTIONS"),
        ("PUT", "/api/v1/token/self", "DELETE, GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(method: str, path: str, allowed: str) -> None:
    async with open_api() as api:
        answer = await api.client.open(path, method=method)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/nope", "/api/v1/token/", "/api/v1/certificate/a/b/c", "/api//v1/token", "/swagger/../x"]
)
async def test_unknown_addresses_are_problems_and_never_redirects(path: str) -> None:
    async with open_api() as api:
        answer = await api.client.get(path)
        assert answer.status_code == 404
        assert (await answer.get_json())["type"] == "/problems/no-such-page"


async def test_head_answers_like_get() -> None:
    async with open_api() as api:
        assert (await api.client.head("/health")).status_code == 200
        assert (await api.client.head("/api/v1/certificate/metadata")).status_code == 401


async def test_the_openapi_document_is_valid_and_has_every_route() -> None:
    async with open_api() as api:
        answer = await api.client.get("/swagger/doc.json")
        record = await answer.get_json()
        validate(record)
        assert record["openapi"].startswith("3.0")
        routes = {
            (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
            for rule in api.app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
            if not rule.rule.startswith(("/swagger", "/ui")) and not rule.defaults
        }
        assert {(path, method) for path, methods in record["paths"].items() for method in methods} == routes
        create = record["paths"]["/api/v1/certificate"]["post"]
        assert create["security"] == [{"bearer": []}]
        assert create["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/CertificateParams")
        assert {"201", "400", "401", "403", "409", "429", "503"} <= set(create["responses"])
        assert record["components"]["schemas"]["CertificateParams"]["required"] == ["domain", "issuer"]


async def test_swagger_comes_from_the_package_and_loads_nothing_from_elsewhere() -> None:
    async with open_api() as api:
        assert (await api.client.get("/swagger")).headers["Location"] == "/swagger/index.html"
        assert (await api.client.get("/swagger/")).headers["Location"] == "/swagger/index.html"
        page = await api.client.get("/swagger/index.html")
        text = await page.get_data(as_text=True)
        assert "://" not in text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        for file in re.findall(r"(?:src|href)=([\w.-]+)", text):
            answer = await api.client.get(f"/swagger/{file}")
            assert (answer.status_code, len(await answer.get_data(as_text=False)) > 50) == (200, True)


async def test_metrics_are_in_the_format_that_is_asked_for() -> None:
    async with open_api() as api:
        plain = await api.client.get("/metrics")
        assert plain.content_type.startswith("text/plain")
        assert "acme_manager_http_requests_in_flight 1.0" in await plain.get_data(as_text=True)
        modern = await api.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert modern.content_type.startswith("application/openmetrics-text")
        assert (await modern.get_data(as_text=True)).endswith("# EOF\n")
