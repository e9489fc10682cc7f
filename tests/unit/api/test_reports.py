from __future__ import annotations

from typing import Any

import pytest

from acme_manager.domain.token import Scope
from acme_manager.errors import InvalidRequest
from acme_manager.services.checks import check_name
from tests.unit.api.served import Follower
from tests.unit.api.world import Api, open_api
from tests.unit.services.world import ALICE, wish

REPORT, HOSTS = "/api/v1/certificate/report", "/api/v1/certificate/reports"
WHERE = f"{HOSTS}?issuer=test&domain=example.com"


def body(host: str = "web1", **facts: Any) -> dict[str, Any]:
    installed = {"issuer": "test", "domain": "example.com", "fingerprint": "old"}
    return {"host": host, "version": "1.0", "certificates": [{**installed, **facts}]}


async def tell(api: Api, report: dict[str, Any]) -> None:
    answer = await api.client.post(REPORT, json=report, headers=api.token(Scope.CREATE))
    assert (answer.status_code, await answer.get_data()) == (204, b"")


async def test_people_see_which_hosts_have_and_serve_the_current_certificate() -> None:
    async with open_api() as api:
        stored = await api.world.certificates.request(ALICE, wish())
        current = stored.certificate.fingerprint
        served = {"ok": True, "serial": "04", "fingerprint": current, "at": "2026-11-24T12:00:02Z"}
        await tell(api, body("web2", serial="03", installed_at="2026-11-24T12:00:00Z"))
        await tell(api, body("web1", fingerprint=current, check="127.0.0.1:443", served=served))
        for where in (WHERE, WHERE.replace("example.com", "EXAMPLE.com")):
            answer = await api.client.get(where, headers=api.token())
            assert answer.status_code == 200
            facts = {"version": "1.0", "reported_at": "2026-11-24T12:00:00Z"}
            assert await answer.get_json() == [
                {
                    **facts,
                    "host": "web1",
                    "fingerprint": current,
                    "serial": "",
                    "current": True,
                    "installed_at": "",
                    "check": "127.0.0.1:443",
                    "served": {**served, "why": ""},
                },
                {
                    **facts,
                    "host": "web2",
                    "fingerprint": "old",
                    "serial": "03",
                    "current": False,
                    "installed_at": "2026-11-24T12:00:00Z",
                    "check": "",
                },
            ]
        metrics = await (await api.client.get("/metrics")).get_data(as_text=True)
    labels = '{issuer="test",owner="alice",domain="example.com",name=""}'
    assert 'acme_manager_hosts_reporting{owner="alice"} 2\n' in metrics
    assert f"acme_manager_certificate_hosts_outdated{labels} 1\n" in metrics
    assert f"acme_manager_certificate_hosts_not_served{labels} 0\n" in metrics


async def test_a_report_of_what_is_not_there_makes_no_series() -> None:
    async with open_api() as api:
        await tell(api, body(domain="made-up.example"))
        assert "made-up" not in await (await api.client.get("/metrics")).get_data(as_text=True)
        answer = await api.client.get(f"{HOSTS}?issuer=test&domain=made-up.example", headers=api.token())
        assert answer.status_code == 404


async def test_others_and_those_without_the_scope_see_nothing() -> None:
    async with open_api() as api:
        await api.world.certificates.request(ALICE, wish())
        await tell(api, body())
        assert (await api.client.get(WHERE, headers=api.token(username="bob"))).status_code == 404
        assert (await api.client.get(WHERE, headers=api.token(Scope.CREATE))).status_code == 403
        assert (await api.client.get(WHERE)).status_code == 401
        assert (await api.client.get(f"{HOSTS}?issuer=test", headers=api.token())).status_code == 400
        assert (await api.client.post(REPORT, json=body())).status_code == 401


@pytest.mark.parametrize(
    ("report", "complaints"),
    [
        ({}, {"host"}),
        ({"host": "a", "certificates": {}}, {"certificates"}),
        ({"host": "a", "certificates": [1]}, {"certificates"}),
        (body("a b", serial=4, served=[]), {"certificates/0/serial", "certificates/0/served"}),
        (body(served={"ok": "yes"}), {"certificates/0/served/ok"}),
        (body(domain=""), {"certificates/0/domain"}),
        ({"host": "a", "certificates": [{"serial": 1}] * 300}, {f"certificates/{n}/serial" for n in range(100)}),
    ],
)
async def test_every_wrong_member_is_named(report: dict[str, Any], complaints: set[str]) -> None:
    async with open_api() as api:
        answer = await api.client.post(REPORT, json=report, headers=api.token())
        assert answer.status_code == 400
        assert {one["field"] for one in (await answer.get_json())["complaints"]} == complaints


async def test_members_are_read_as_everywhere() -> None:
    async with open_api() as api:
        await api.world.certificates.request(ALICE, wish())
        await tell(
            api, {"HOST": "a", "new": 1, "certificates": [body()["certificates"][0] | {"Served": None, "x": {}}]}
        )
        (host,) = await (await api.client.get(WHERE, headers=api.token())).get_json()
        assert host["host"] == "a"
        assert "served" not in host


async def test_a_node_that_does_not_lead_keeps_no_report() -> None:
    async with open_api(cluster=Follower(), load=False, lead=False) as api:
        api.world.state.loaded.set()
        answer = await api.client.post(REPORT, json=body(), headers=api.token() | {"X-Acme-Manager-Hop": "b"})
        assert answer.status_code == 503
        assert api.services.reports.hosts() == {}


def test_no_new_certificate_gets_the_name_of_the_route() -> None:
    with pytest.raises(InvalidRequest, match="is the name of a route"):
        check_name("reports")
