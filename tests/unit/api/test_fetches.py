from __future__ import annotations

from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.token import Scope
from tests.unit.api.world import open_api
from tests.unit.services.world import ALICE, wish

ID = CertificateId("alice", "test", "example.com")
URL = "/api/v1/certificate/test/example.com"


async def test_whoever_is_given_a_certificate_is_noted_and_who_is_refused_is_not() -> None:
    async with open_api() as api:
        await api.world.certificates.request(ALICE, wish())
        good, bad = api.token(Scope.READ), api.token(Scope.CREATE)
        assert (await api.client.get(URL, headers={**bad, "User-Agent": "refused/1"})).status_code == 403
        assert (await api.client.get(URL + "x", headers={**good, "User-Agent": "lost/1"})).status_code == 404
        assert (await api.client.get(URL, headers={**good, "User-Agent": "wget/1.21 (linux)"})).status_code == 200
        await api.services.fetches.look()
        assert [(one.by, one.program) for one in api.services.fetches.of(ID)] == [("token t-alice-read", "wget/1.21")]
