from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from acme_manager.api.rate_limits import _remaining
from acme_manager.config.model import Common
from acme_manager.domain.certificate import Certificate
from acme_manager.ports import Step
from acme_manager.services.rate_limits import Operation
from tests.unit.api.world import ADMIN, open_api
from tests.unit.services.world import ALICE

LIMITED = Common(rate_limit_enabled=True, rate_limit_window=3600, rate_limit_max_requests=3)


async def test_the_administrator_sees_everybody_and_an_owner_what_is_its_own() -> None:
    async with open_api(common=LIMITED) as api:
        for owner, name in (("alice", ""), ("bob", "web")):
            wanted = Certificate(owner=owner, issuer="test", domain="example.com", name=name)
            with api.world.rate_limits.counted(attrs.evolve(ALICE, username=owner), wanted, Operation.CREATE):
                api.world.progress.publish(wanted.id, Step.ORDERED)
        everybody = await (await api.client.get("/ratelimits", headers=ADMIN)).get_json()
        assert everybody[0] == {
            "Owner": "alice",
            "Issuer": "test",
            "Domain": "example.com",
            "Name": "",
            "RequestCount": 1,
            "MaxRequests": 3,
            "WindowStart": "2026-11-24 12:00:00 +0000 UTC",
            "WindowEnd": "2026-11-24 13:00:00 +0000 UTC",
            "Remaining": "1h0m",
        }
        own = await (await api.client.get("/ratelimits", headers=api.token(username="bob"))).get_json()
        assert everybody[1:] == own
        assert [(one["Owner"], one["Name"]) for one in own] == [("bob", "web")]


async def test_one_order_too_many_is_answered_as_the_go_program_does() -> None:
    async with open_api(common=attrs.evolve(LIMITED, rate_limit_max_requests=1)) as api:
        wanted = {"issuer": "test", "domain": "example.com"}
        for method in ("POST", "PUT"):
            answered = await api.client.open("/api/v1/certificate", method=method, json=wanted, headers=api.token())
            wanted["san"] = "b.example.com"
        assert answered.status_code == 429
        assert answered.headers["Retry-After"] == "3600"
        problem = await answered.get_json()
        assert problem["type"] == "/problems/rate-limited"
        assert problem["error"] == problem["err"] == "rate limit exceeded, retry after 3600s"
        assert {name: problem[name] for name in ("owner", "issuer", "domain", "name")} == {
            "owner": "alice",
            "issuer": "test",
            "domain": "example.com",
            "name": "",
        }


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "guess"}, {"Authorization": "Bearer guess"}])
async def test_nobody_else_sees_anything(headers: dict[str, str]) -> None:
    async with open_api() as api:
        assert (await api.client.get("/ratelimits", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(hours=26, minutes=5, seconds=9), "26h5m"),
        (timedelta(minutes=59, seconds=59.5), "1h0m"),
        (timedelta(minutes=5, seconds=10), "5m10s"),
        (timedelta(seconds=0.2), "1s"),
        (timedelta(0), "expired"),
        (timedelta(-1), "expired"),
    ],
)
def test_what_remains_is_told_in_two_units(time: timedelta, text: str) -> None:
    assert _remaining(time.total_seconds()) == text
