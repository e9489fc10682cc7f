"""Files of a certificate: PEM for who may read it, the private key for its owner and nobody else."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from acme_manager.domain.audit import Query
from acme_manager.domain.token import Scope
from tests.unit.api.test_audit import open_audited
from tests.unit.api.world import Api, open_api
from tests.unit.services.test_certificates import csr_for
from tests.unit.services.world import ALICE, wish
from tests.unit.web.browser import Browser, administrator, owner

QUERY = "owner=alice&issuer=test&domain=example.com"
PAGE = f"certificate?{QUERY}"
PASSWORD = " p w "  # with blanks, which are part of it


async def downloads(api: Api) -> list[tuple[str, str, int]]:
    found = await api.services.audit.search(Query(action="key.download"), limit=10)
    return [(one.actor, one.object, one.status) for one in found.entries]


async def test_pem_is_the_leaf_its_chain_or_both() -> None:
    async with open_api() as api:
        stored = await api.world.certificates.request(ALICE, wish())
        reader = await owner(api, Scope.READ)
        found = {
            part: await reader.get(f"certificate-file?{QUERY}&part={part}") for part in ("leaf", "chain", "fullchain")
        }
        whole = x509.load_pem_x509_certificates(found["fullchain"].body.encode())
        assert x509.load_pem_x509_certificates(found["leaf"].body.encode()) == whole[:1]
        assert found["leaf"].body + found["chain"].body == found["fullchain"].body
        assert f"{whole[0].serial_number:x}" == stored.certificate.serial
        assert found["leaf"].headers["Content-Disposition"] == 'attachment; filename="example.com.crt"'
        assert found["leaf"].headers["Cache-Control"] == "no-store"
        assert "PRIVATE" not in found["fullchain"].body
        await api.services.fetches.look()
        assert [one.by for one in api.services.fetches.of(stored.certificate.id)] == ["token t-alice-read"]
        assert (await reader.get(f"certificate-file?{QUERY}&part=key")).status == 400
        assert (await (await owner(api, Scope.UPDATE)).get(f"certificate-file?{QUERY}&part=leaf")).status == 403
        assert (await (await owner(api, username="bob")).get(f"certificate-file?{QUERY}&part=leaf")).status == 404


async def test_an_owner_gets_the_private_key_and_the_audit_log_says_so() -> None:
    async with open_audited() as api:
        stored = await api.world.certificates.request(ALICE, wish())
        alice = await owner(api, Scope.READ)
        answer = await alice.submit((await alice.get(PAGE)).form("certificate-key"))
        assert answer.body == stored.private_key
        assert isinstance(load_pem_private_key(answer.body.encode(), None), EllipticCurvePrivateKey)
        assert answer.headers["Content-Disposition"] == 'attachment; filename="example.com.key"'
        assert answer.headers["Cache-Control"] == "no-store"
        assert await downloads(api) == [("token t-alice-read", "alice/test/example.com", 200)]


async def test_pkcs12_opens_with_the_password_that_was_typed() -> None:
    async with open_audited() as api:
        await api.world.certificates.request(ALICE, wish())
        alice = await owner(api, Scope.READ)
        form = (await alice.get(f"certificate-pkcs12?{QUERY}")).form("certificate-pkcs12")
        refused = await alice.submit(form, password="")
        assert (refused.status, list(refused.wrong())) == (400, ["password"])
        values = form.with_({"password": PASSWORD})
        raw = await alice.raw("certificate-pkcs12", values)
        key, leaf, chain = load_key_and_certificates(raw, PASSWORD.encode())
        assert key is not None
        assert leaf is not None
        assert chain
        assert [status for _, _, status in await downloads(api)] == [200, 400]


async def test_nobody_else_gets_the_private_key() -> None:
    async with open_audited() as api:
        await api.world.certificates.request(ALICE, wish())
        alice = await owner(api, Scope.READ)
        form = (await alice.get(PAGE)).form("certificate-key")

        async def ask(browser: Browser, address: str) -> int:
            token = (await browser.get("certificates")).form("logout").values["form_token"]
            answer = await browser.post(address, form.with_({"form_token": token, "password": "x"}))
            assert "PRIVATE" not in answer.body
            return answer.status

        for browser, status in (
            (await administrator(api), 403),
            (await owner(api, Scope.UPDATE, Scope.DELETE), 403),
            (await owner(api, username="bob"), 404),
        ):
            assert await ask(browser, "certificate-key") == status
            assert await ask(browser, "certificate-pkcs12") == status
            assert (await browser.get(f"certificate-pkcs12?{QUERY}")).status == status
        assert (await alice.post("certificate-key", form.with_({"form_token": "wrong"}))).status == 403
        assert (await alice.get(f"certificate-key?{QUERY}")).status == 405


async def test_a_key_that_was_made_on_its_host_is_not_offered() -> None:
    async with open_api() as api:
        await api.world.certificates.request(ALICE, wish(csr=csr_for("example.com")))
        alice = await owner(api)
        page = await alice.get(PAGE)
        assert not page.has_form("certificate-key")
        assert "made on its host" in page.id("download-menu").text
        token = page.form("logout").values["form_token"]
        named = {"owner": "alice", "issuer": "test", "domain": "example.com", "form_token": token}
        assert (await alice.post("certificate-key", named)).status == 400
        assert "made on its host" in (await alice.post("certificate-pkcs12", {**named, "password": "x"})).said
