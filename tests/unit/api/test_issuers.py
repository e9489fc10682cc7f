from __future__ import annotations

import trio
from trio.testing import MockClock

from acme_manager.domain.names import parse_identifier
from acme_manager.errors import DirectoryUnavailable, IssuerRateLimited, IssuerUnavailable, Problem
from tests.unit.api.world import ADMIN, open_api
from tests.unit.services.world import with_limits


async def test_administrators_see_every_issuer_and_what_is_left_of_its_limits() -> None:
    async with open_api() as api:
        with_limits(api.world.issuing.settings, "letsencrypt")
        for _ in range(4):
            api.world.budgets.admit("test", [parse_identifier("www.example.com")], renewal=False)
        too_many = Problem("urn:ietf:params:acme:error:rateLimited", "too many", 429, "b.example.com")
        api.world.budgets.refused(
            "test", [parse_identifier("b.example.com")], IssuerRateLimited("too many", too_many, 600.0)
        )
        answer = await api.client.get("/api/v1/issuers", headers=ADMIN)
        bare, test = await answer.get_json()
    assert bare == {
        "name": "bare",
        "ca_dir_url": "https://ca.test/dir",
        "limits": dict.fromkeys(test["limits"], "none"),
        "budget": [],
        "paused": [],
    }
    assert (test["name"], test["ca_dir_url"]) == ("test", "https://ca.test/dir")
    assert test["limits"] == {
        "preset": "letsencrypt",
        "new_orders": "300/3h",
        "certificates_per_domain": "50/7d",
        "certificates_per_set": "5/7d",
        "failed_authorizations": "5/1h",
        "consecutive_failures": "1152/1152d",
        "renewals_exempt": "all",
    }
    assert test["budget"] == [
        {"limit": "new_orders", "count": 300, "left": 287},  # 4, and the lag of 5 minutes
        {
            "limit": "certificates_per_set",
            "about": "www.example.com",
            "count": 5,
            "left": 0,
            "next_free": "2026-11-24T12:05:00Z",
        },
    ]
    assert test["paused"] == [{"about": "b.example.com", "until": "2026-11-24T12:10:00Z"}]


async def test_health_and_account_are_shown_once_this_node_has_looked() -> None:
    async with open_api() as api:
        api.world.findings.note("test", None)
        api.world.findings.note("bare", DirectoryUnavailable("no such host"))
        bare, test = await (await api.client.get("/api/v1/issuers", headers=ADMIN)).get_json()
    at = {"since": "2026-11-24T12:00:00Z", "checked_at": "2026-11-24T12:00:00Z"}
    assert (test["health"], test["account"]) == ({"ok": True, **at}, "https://ca.test/account/1")
    assert bare["health"] == {"ok": False, "error": "no such host", **at}
    assert "account" not in bare


async def test_a_ca_that_is_away_delays_nobody_for_long(autojump_clock: MockClock) -> None:
    async def hang(step: str) -> None:
        if step == "facts":
            await trio.sleep_forever()

    async with open_api(before=hang) as api:
        api.world.findings.note("test", None)
        with trio.fail_after(2):
            answer = await api.client.get("/api/v1/issuers", headers=ADMIN)
        assert ["account" in one for one in await answer.get_json()] == [False, False]


async def test_a_ca_that_fails_to_say_who_we_are_is_listed_all_the_same() -> None:
    async def fail(step: str) -> None:
        if step == "facts":
            raise IssuerUnavailable("away")

    async with open_api(before=fail) as api:
        api.world.findings.note("test", None)
        answer = await api.client.get("/api/v1/issuers", headers=ADMIN)
        assert ["account" in one for one in await answer.get_json()] == [False, False]


async def test_a_token_sees_the_issuers_that_it_may_use() -> None:
    async with open_api() as api:
        for issuers, seen in [((), ["bare", "test"]), (("te*",), ["test"]), (("nothing",), [])]:
            headers = api.token(username="-".join(issuers).strip("*") or "all", issuers=issuers)
            answer = await api.client.get("/api/v1/issuers", headers=headers)
            assert [one["name"] for one in await answer.get_json()] == seen
        assert (await api.client.get("/api/v1/issuers")).status_code == 401
        assert (await api.client.get("/api/v1/issuers", headers={"X-API-Key": "wrong"})).status_code == 401
