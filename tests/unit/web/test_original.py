"""The addresses of the Go original's pages: browsers are led to ours, programs get its JSON, and nobody gets hashes."""

from __future__ import annotations

import attrs
import pytest

from acme_manager.domain.token import Scope
from tests.unit.api.world import ADMIN, Api, open_api
from tests.unit.services.world import ALICE, wish

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
JSON = {"Accept": "application/json"}


async def make(api: Api, *owners: str) -> None:
    for owner in owners:
        await api.world.certificates.request(attrs.evolve(ALICE, username=owner), wish())


@pytest.mark.parametrize("page", ["", "certificates", "tokens", "ratelimits"])
async def test_browsers_are_led_to_our_page_by_a_relative_address(page: str) -> None:
    async with open_api() as api:
        answer = await api.client.get(f"/{page}", headers=BROWSER)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"ui/{page}")
        led = await api.client.get(f"/ui/{page}", headers=BROWSER | ADMIN)
        assert led.status_code == 200


async def test_a_program_gets_certificates_as_the_original_gives_them_and_an_owner_only_its_own() -> None:
    async with open_api() as api:
        await make(api, "alice", "bob")
        everybody = await (await api.client.get("/certificates", headers=JSON | ADMIN)).get_json()
        assert [one["owner"] for one in everybody] == ["alice", "bob"]
        assert everybody[0].keys() >= {"domain", "issuer", "EffectiveDNSChallenge", "EffectiveHTTPChallenge"}
        bearer = api.token(Scope.READ, username="bob")
        own = await (await api.client.get("/certificates", headers=JSON | bearer)).get_json()
        assert own == everybody[1:]


async def test_a_program_gets_tokens_by_id_without_their_hashes_with_the_api_key_only() -> None:
    async with open_api() as api:
        bearer = api.token(Scope.READ)
        answer = await api.client.get("/tokens", headers=JSON | ADMIN)
        record = await answer.get_json()
        assert {id: one["username"] for id, one in record.items()} == {"t-alice-read": "alice"}
        assert not any("hash" in name.lower() for one in record.values() for name in one)
        assert (await api.client.get("/tokens", headers=JSON | bearer)).status_code == 403


@pytest.mark.parametrize("path", ["/certificates", "/tokens"])
async def test_strangers_get_a_problem_document(path: str) -> None:
    async with open_api() as api:
        await make(api, "alice")
        for accept in ({}, JSON, {"Accept": "*/*"}):
            answer = await api.client.get(path, headers=accept)
            assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
            assert "alice" not in await answer.get_data(as_text=True)
        for headers in ({"X-API-Key": "wrong"}, {"Authorization": "Bearer bm90OnJlYWw="}):
            assert (await api.client.get(path, headers=JSON | headers)).status_code == 401
