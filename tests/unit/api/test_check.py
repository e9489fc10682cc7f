from __future__ import annotations

from typing import Any

import pytest

from acme_manager.domain.token import Scope
from tests.fakes.ca import MemoryCa
from tests.unit.api.served import Follower
from tests.unit.api.world import Api, open_api

CHECK = "/api/v1/certificate/check"
WISH = {"domain": "example.com", "issuer": "test"}


def only(findings: list[dict[str, Any]], check: str) -> dict[str, Any]:
    (found,) = [one for one in findings if one["check"] == check]
    return found


async def findings(api: Api, body: object, status: int = 200) -> tuple[bool, list[dict[str, Any]]]:
    response = await api.client.post(CHECK, headers=api.token(Scope.CREATE), json=body)
    assert response.status_code == status
    answer = await response.get_json()
    return answer["ok"], answer["findings"]


async def test_a_check_answers_with_a_list_of_yes_and_no_and_unknown_and_orders_nothing() -> None:
    ca = MemoryCa()
    async with open_api(ca=ca) as api:
        ok, found = await findings(api, WISH)
        assert ok
        assert only(found, "names") == {"check": "names", "ok": True, "detail": "1: example.com"}
        assert only(found, "http-01")["ok"] is None  # this host reaches no resolver
        assert only(found, "certificate")["ok"] is True
        assert api.world.state.certificates.get("alice/test/example.com") is None
        assert ca.placed == []


async def test_a_no_is_answered_with_200_too() -> None:
    async with open_api() as api:
        ok, found = await findings(api, {**WISH, "domain": "-.example.com", "profile": "none-such"})
        assert not ok
        assert only(found, "names")["ok"] is False
        assert only(found, "profile")["remedy"] == "leave it out: the CA has none"


async def test_a_node_that_does_not_lead_looks_itself() -> None:
    async with open_api(replaced={"cluster": Follower()}) as api:
        ok, found = await findings(api, WISH)
        assert ok
        assert only(found, "issuer")["ok"] is True


async def test_without_the_scope_there_is_no_check() -> None:
    async with open_api() as api:
        response = await api.client.post(CHECK, headers=api.token(Scope.READ), json=WISH)
        assert response.status_code == 403
        response = await api.client.post(CHECK, json=WISH)
        assert response.status_code == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"domain": 1}'])
async def test_a_body_that_can_not_be_read_is_refused(body: bytes) -> None:
    async with open_api() as api:
        response = await api.client.post(CHECK, headers=api.token(Scope.CREATE), data=body)
        assert response.status_code == 400


async def test_a_certificate_may_still_be_called_check() -> None:
    async with open_api() as api:
        response = await api.client.post("/api/v1/certificate", headers=api.token(), json={**WISH, "name": "check"})
        assert response.status_code == 201
        read = await api.client.get("/api/v1/certificate/check", headers=api.token())
        assert read.status_code == 200
