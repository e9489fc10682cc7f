from __future__ import annotations

import re
from typing import Any

import pytest
import structlog.testing
import trio

from acme_manager.api.observe import request_id
from tests.unit.api.world import open_api

TOTAL = "acme_manager_http_requests_total"


@pytest.mark.parametrize("offered", ["abc", "req_0123", "a.b:c/d+e=", "x" * 128])
def test_a_sane_request_id_is_kept(offered: str) -> None:
    assert request_id(offered) == offered


@pytest.mark.parametrize("offered", ["", "x" * 129, "a b", "a\nb", "é", '"', "a\n"])
def test_another_one_is_replaced(offered: str) -> None:
    assert re.fullmatch(r"req_[0-9a-f]{32}", request_id(offered))


async def test_the_request_id_is_sent_back_with_every_answer() -> None:
    async with open_api() as api:
        for path in ("/health", "/nope", "/api/v1/certificate/metadata"):
            answer = await api.client.get(path, headers={"X-Request-ID": "mine"})
            assert answer.headers["X-Request-ID"] == "mine"


async def test_a_request_is_one_log_line_without_secrets() -> None:
    async with open_api() as api:
        caller = api.token()
        headers = caller | {"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "r1"}
        with structlog.testing.capture_logs() as lines:
            await api.client.get("/api/v1/certificate/test/a.example?name=&secret=hunter2", headers=headers)
        (line,) = lines
        assert {**line, "duration": 0, "length": 0} == {
            "event": "request served",
            "log_level": "info",
            "request_id": "r1",
            "method": "GET",
            "path": "/api/v1/certificate/test/a.example",
            "status_code": 404,
            "owner": "alice",
            "duration": 0,
            "client_ip": "",
            "length": 0,
            "forwarded_for": "203.0.113.9",
        }
        assert line["length"] > 100
        assert 0 < line["duration"] < 5
        assert caller["Authorization"].removeprefix("Bearer ") not in str(line)


async def test_requests_are_counted_by_route_and_not_by_address() -> None:
    async with open_api() as api:
        for name in ("a", "b"):
            await api.client.get(f"/api/v1/certificate/test/{name}.example", headers=api.token())
        await api.client.get("/no/such/page")
        await api.client.open("/health", method="BREW")
        route = "/api/v1/certificate/{issuer}/{domain}"
        assert api.served(TOTAL, method="GET", path=route, status_code="404") == 2
        assert api.served("acme_manager_http_request_duration_seconds_count", method="GET", path=route) == 2
        assert api.served(TOTAL, method="GET", path="/", status_code="404") == 1
        assert api.served(TOTAL, method="OTHER", path="/", status_code="405") == 1
        assert api.served("acme_manager_http_requests_in_flight") == 0


async def test_a_caller_that_hangs_up_is_seen_too() -> None:
    class Hanging:
        async def get(self, _id: Any) -> None:
            started.set()
            await trio.sleep_forever()

    started = trio.Event()
    async with open_api(replaced={"certificates": Hanging()}) as api:
        caller = api.token()
        with structlog.testing.capture_logs() as lines:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: api.client.get("/api/v1/certificate/web", headers=caller))
                await started.wait()
                assert api.served("acme_manager_http_requests_in_flight") == 1
                nursery.cancel_scope.cancel()
        assert [line["status_code"] for line in lines] == [499]
        assert api.served("acme_manager_http_requests_in_flight") == 0
