from __future__ import annotations

import pytest

from acme_manager.domain.token import Scope
from acme_manager.errors import IssuanceFailed, Problem
from tests.unit.api.world import open_api
from tests.unit.services.world import ALICE, wish

WHERE = "/api/v1/certificate/attempts?issuer=test&domain=example.com"


async def test_an_owner_sees_the_attempts_at_a_certificate_by_either_identity() -> None:
    async with open_api() as api:
        await api.world.certificates.request(ALICE, wish())
        await api.world.certificates.request(ALICE, wish(name="web"))
        for where in (WHERE, WHERE.replace("example.com", "EXAMPLE.com"), "/api/v1/certificate/attempts?name=web"):
            response = await api.client.get(where, headers=api.token())
            (attempt,) = await response.get_json()
            assert response.status_code == 200
            assert (attempt["outcome"], attempt["issuer"], attempt["reason"]) == ("issued", "test", "requested")
            assert attempt["steps"][-1]["step"] == "stored"


async def test_a_request_that_failed_is_shown_though_there_is_no_certificate() -> None:
    async def refuse(_step: str) -> None:
        raise IssuanceFailed("no", Problem("urn:ietf:params:acme:error:caa", "CAA forbids it"))

    async with open_api(before=refuse) as api:
        with pytest.raises(IssuanceFailed):
            await api.world.certificates.request(ALICE, wish())
        (attempt,) = await (await api.client.get(WHERE, headers=api.token())).get_json()
    assert (attempt["outcome"], attempt["error"]) == ("failed", "no")
    assert attempt["problem"] == "CAA forbids it (urn:ietf:params:acme:error:caa)"


async def test_others_and_those_without_the_scope_see_nothing() -> None:
    async with open_api() as api:
        await api.world.certificates.request(ALICE, wish())
        assert (await api.client.get(WHERE, headers=api.token(username="bob"))).status_code == 404
        assert (await api.client.get(WHERE, headers=api.token(Scope.CREATE))).status_code == 403
        assert (await api.client.get(WHERE)).status_code == 401
        assert (
            await api.client.get("/api/v1/certificate/attempts?issuer=test", headers=api.token())
        ).status_code == 400
