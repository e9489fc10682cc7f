from __future__ import annotations

import base64
from typing import Any

import attrs
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from acme_manager.domain.token import Scope
from acme_manager.errors import IssuanceFailed, Problem, RateLimited
from tests.unit.api.world import open_api

PATH = "/api/v1/certificate"
WISH = {"domain": "example.com", "issuer": "test"}


def csr(*names: str) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


async def test_a_certificate_is_created_read_changed_and_deleted() -> None:
    async with open_api() as api:
        caller, client = api.token(), api.client
        created = await client.post(PATH, json=WISH | {"csr": csr("example.com")}, headers=caller)
        assert created.status_code == 201
        assert created.headers["Owner"] == "alice"
        assert created.content_type == "application/json"
        text = await created.get_data(as_text=False)
        record = await created.get_json()
        assert not text.endswith(b"\n")
        assert b'": ' not in text
        assert list(record)[:2] == ["domain", "issuer"]
        assert list(record)[-3:] == ["cert", "ca_issuer", "url"]
        assert "san" not in record
        assert record["cert"].startswith("-----BEGIN CERTIFICATE-----")

        read = await client.get(f"{PATH}/test/example.com", headers=caller)
        assert (read.status_code, (await read.get_json())["cert"]) == (200, record["cert"])

        changed = await client.put(PATH, json=WISH | {"csr": record["csr"], "labels": "team=a"}, headers=caller)
        assert changed.status_code == 200
        assert (await changed.get_json())["labels"] == "team=a"
        assert (await changed.get_json())["cert"] == record["cert"]

        gone = await client.delete(f"{PATH}/test/example.com", headers=caller)
        assert (gone.status_code, await gone.get_data()) == (204, b"")
        assert (await client.get(f"{PATH}/test/example.com", headers=caller)).status_code == 404


async def test_a_name_is_another_way_to_the_certificate() -> None:
    async with open_api() as api:
        caller, client = api.token(), api.client
        assert (await client.post(PATH, json=WISH | {"name": "web"}, headers=caller)).status_code == 201
        for path in (f"{PATH}/web", f"{PATH}/any/thing?name=web"):
            answer = await client.get(path, headers=caller)
            assert (answer.status_code, (await answer.get_json())["name"]) == (200, "web")
        assert (await client.get(f"{PATH}/test/example.com", headers=caller)).status_code == 404
        assert (await client.delete(f"{PATH}/any/thing?name=web", headers=caller)).status_code == 204
        assert (await client.get(f"{PATH}/web", headers=caller)).status_code == 404


async def test_delete_revokes_only_when_told_so_exactly() -> None:
    async with open_api() as api:
        caller, client = api.token(), api.client
        for query, revoked in (("?revoke=True", 0), ("?revoke=true", 1)):
            assert (await client.post(PATH, json=WISH, headers=caller)).status_code == 201
            assert (await client.delete(f"{PATH}/test/example.com{query}", headers=caller)).status_code == 204
            assert len(api.world.ca.revoked) == revoked


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", PATH, Scope.CREATE),
        ("PUT", PATH, Scope.UPDATE),
        ("GET", f"{PATH}/test/nothing.example", Scope.READ),
        ("GET", f"{PATH}/nothing", Scope.READ),
        ("DELETE", f"{PATH}/test/nothing.example", Scope.DELETE),
        ("DELETE", f"{PATH}/nothing", Scope.DELETE),
    ],
)
async def test_without_the_scope_nothing_is_said_about_what_exists(method: str, path: str, scope: Scope) -> None:
    async with open_api() as api:
        caller = api.token(*(set(Scope) - {scope}))
        answer = await api.client.open(path, method=method, json=WISH, headers=caller)
        document = await answer.get_json()
        assert answer.status_code == 403
        assert document["error"] == f"invalid scope, missing '{scope}' scope"
        assert document["type"] == "/problems/missing-scope"


async def test_a_key_made_by_the_server_goes_only_to_who_may_read() -> None:
    async with open_api() as api:
        creator = api.token(Scope.CREATE)
        created = await api.client.post(PATH, json=WISH, headers=creator)
        assert created.status_code == 201
        assert "private_key" not in await created.get_json()
        read = await api.client.get(f"{PATH}/test/example.com", headers=api.token(Scope.READ))
        assert (await read.get_json())["private_key"].startswith("-----BEGIN")
        listed = await api.client.get(f"{PATH}/metadata", headers=api.token(Scope.READ))
        assert b"PRIVATE KEY" not in await listed.get_data(as_text=False)


async def test_owners_do_not_see_each_other() -> None:
    async with open_api() as api:
        assert (await api.client.post(PATH, json=WISH, headers=api.token())).status_code == 201
        other = api.token(username="bob")
        assert (await api.client.get(f"{PATH}/test/example.com", headers=other)).status_code == 404
        listed = await api.client.get(f"{PATH}/metadata", headers=other)
        assert (listed.status_code, await listed.get_data()) == (200, b"[]")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "authorization Header is missing or empty"),
        ("", "authorization Header is missing or empty"),
        ("Basic abc", "invalid token format"),
        ("Bearer a Bearer b", "invalid token format"),
        ("Bearer !!!", "invalid token format"),
        ("Bearer " + base64.b64encode(b"no colon").decode(), "invalid token format"),
        ("Bearer " + base64.b64encode(b"nobody:s").decode(), "token id 'nobody' not found"),
        ("Bearer " + base64.b64encode(b"t-alice-:wrong").decode(), "invalid token"),
        ("Bearer " + base64.b64encode(b"t-old-:s").decode(), "token expired"),
    ],
)
async def test_a_bad_bearer_is_refused_in_the_original_words(header: str | None, message: str) -> None:
    async with open_api() as api:
        api.token()
        api.token(username="old", expires="2020-01-01 00:00:00 +0000 UTC")
        answer = await api.client.get(f"{PATH}/metadata", headers={} if header is None else {"Authorization": header})
        document = await answer.get_json()
        assert (answer.status_code, document["error"]) == (401, message)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="acme-manager"'
        assert "Owner" not in answer.headers
        assert "err" not in document


async def test_the_token_of_the_original_s_own_tests_is_good_here() -> None:
    async with open_api() as api:
        api.token(username="me")
        legacy = api.world.tokens.get("t-me-")
        stored = "206c80413b9a96c1312cc346b7d2517b84463edd"
        api.world.state.tokens.put("testuser", attrs.evolve(legacy, id="testuser", token_hash=stored))
        headers = {"Authorization": "whatever Bearer dGVzdHVzZXI6dGVzdHBhc3M="}
        assert (await api.client.get(f"{PATH}/metadata", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "EOF"),
        (b"{", "no JSON"),
        (b"[]", "must be a JSON object, not a list"),
        (b'{"days": "3"}', "'days' must be a whole number from -2147483648 to 2147483647, not a string"),
        (b"{}", "missing 'issuer' and/or 'domain' parameter"),
        (b'{"domain": "example.com", "issuer": "x"}', "invalid issuer 'x' must be one of ["),
        (b'{"domain": "exa mple.com", "issuer": "test"}', "invalid 'domain' parameter"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_bad_body_is_refused_with_what_would_be_right(method: str, body: bytes, message: str) -> None:
    async with open_api() as api:
        answer = await api.client.open(PATH, method=method, data=body, headers=api.token())
        document = await answer.get_json()
        assert answer.status_code == 400
        assert message in document["error"]
        assert document["complaints"]


async def test_problems_about_a_certificate_have_the_members_of_the_original() -> None:
    async with open_api() as api:
        caller, client = api.token(), api.client
        assert (await client.post(PATH, json=WISH, headers=caller)).status_code == 201
        twice = await client.post(PATH, json=WISH, headers=caller)
        text = await twice.get_data(as_text=True)
        document = await twice.get_json()
        assert twice.status_code == 409
        assert twice.content_type == "application/problem+json"
        assert text.endswith("}\n")
        assert document["err"] == document["error"] == document["detail"] == "certificate already exists"
        assert [document[key] for key in ("owner", "issuer", "domain", "name")] == ["alice", "test", "example.com", ""]

        unknown = await (await client.get(f"{PATH}/nothing", headers=caller)).get_json()
        assert unknown["err"] == "certificate 'alice/nothing' not found"
        assert (unknown["name"], unknown["owner"]) == ("nothing", "alice")
        assert not {"domain", "issuer"} & set(unknown)


@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [
        (IssuanceFailed("no", Problem("urn:ietf:params:acme:error:malformed")), 400, None),
        (IssuanceFailed("no", Problem("urn:ietf:params:acme:error:caa")), 500, None),
        (RateLimited("rate limit exceeded, retry after 7s", 7), 429, "7"),
    ],
)
async def test_what_the_issuance_says_reaches_the_caller(error: Exception, status: int, wait: str | None) -> None:
    async with open_api() as api:

        async def fail(*_args: Any) -> None:
            raise error

        api.services.certificates.request = fail  # type: ignore[assignment, method-assign]
        answer = await api.client.post(PATH, json=WISH, headers=api.token())
        assert (answer.status_code, answer.headers.get("Retry-After")) == (status, wait)
        assert (await answer.get_json())["err"] == str(error)


async def test_two_different_requests_for_one_certificate_at_once_refuse_the_second() -> None:
    reached, go = trio.Event(), trio.Event()

    async def before(_what: str) -> None:
        reached.set()
        await go.wait()

    async with open_api(before=before) as api, trio.open_nursery() as nursery:
        caller = api.token()
        nursery.start_soon(lambda: api.client.post(PATH, json=WISH, headers=caller))
        await reached.wait()
        second = await api.client.post(PATH, json=WISH | {"san": "www.example.com"}, headers=caller)
        go.set()
        assert second.status_code == 429
        assert int(second.headers["Retry-After"]) >= 1
        assert (await second.get_json())["err"] == "another operation is in progress"


async def test_a_user_name_that_no_header_can_hold_does_not_break_the_answer() -> None:
    async with open_api() as api:
        answer = await api.client.get(f"{PATH}/metadata", headers=api.token(username="a\r\nb: c"))
        assert answer.status_code == 200
        assert answer.headers["Owner"] == "a??b: c"


async def test_a_certificate_is_renewed_on_request_and_its_list_entry_says_when_it_will_be_by_itself() -> None:
    async with open_api() as api:
        first = await (await api.client.post(PATH, json=WISH, headers=api.token())).get_json()
        refused = await api.client.post(f"{PATH}/renew", json=WISH, headers=api.token(Scope.CREATE))
        assert refused.status_code == 403
        renewed = await api.client.post(f"{PATH}/renew", json=WISH, headers=api.token(Scope.UPDATE))
        answer = await renewed.get_json()
        assert renewed.status_code == 200
        assert answer["renewal_count"] == 1
        assert answer["serial"] != first["serial"]
        assert "private_key" not in answer
        (entry,) = await (await api.client.get(f"{PATH}/metadata", headers=api.token())).get_json()
        assert entry["serial"] == answer["serial"]
        assert entry["renewal"].pop("reason").startswith("20-30 days before expiry")
        window = {"start": "2027-01-23T12:00:00Z", "end": "2027-02-02T12:00:00Z"}
        due = entry["renewal_date"][:19].replace(" ", "T") + "Z"
        assert entry["renewal"] == {"due": due, "code": "window", "window": window}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "by its 'name', or by 'issuer' and 'domain'"),
        ({"issuer": "test"}, 400, "by its 'name', or by 'issuer' and 'domain'"),
        ({"name": "nobody"}, 404, "'alice/nobody' not found"),
        (WISH, 403, "may not request: example.com"),
    ],
)
async def test_a_renewal_that_can_not_be_done_says_why(body: dict[str, str], status: int, text: str) -> None:
    async with open_api() as api:
        await api.client.post(PATH, json=WISH, headers=api.token())
        limited = api.token(Scope.UPDATE, domains=("*.example.org",))
        answer = await api.client.post(f"{PATH}/renew", json=body, headers=limited)
        assert answer.status_code == status
        assert text in (await answer.get_json())["error"]


async def test_a_revocation_tells_the_ca_its_reason() -> None:
    async with open_api() as api:
        for number, reason in enumerate(("keycompromise", "4", "")):
            wish = WISH | {"name": f"n{number}"}
            await api.client.post(PATH, json=wish, headers=api.token())
            query = f"revoke=true&reason={reason}"
            assert (await api.client.delete(f"{PATH}/n{number}?{query}", headers=api.token())).status_code == 204
        assert [reason for _, reason in api.world.ca.revoked] == [1, 4, None]


@pytest.mark.parametrize("query", ["revoke=true&reason=7", "revoke=true&reason=nope", "reason=1"])
async def test_a_reason_that_is_none_or_for_nothing_is_refused(query: str) -> None:
    async with open_api() as api:
        await api.client.post(PATH, json=WISH | {"name": "n"}, headers=api.token())
        answer = await api.client.delete(f"{PATH}/n?{query}", headers=api.token())
        assert answer.status_code == 400
        assert (await answer.get_json())["complaints"][0]["field"] == "reason"
        assert (await api.client.get(f"{PATH}/n", headers=api.token())).status_code == 200
