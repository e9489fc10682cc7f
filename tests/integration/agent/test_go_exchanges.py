"""What the agent of the Go original sends, as Go's HTTP client writes it, and what it reads of the answers.

Success is answered exactly as its server does it. Problem documents have other members beside those that it writes,
and a media type of their own: it looks at the status, and at the text only to show it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from acme_manager.config.model import Common
from acme_manager.domain.token import Scope, Token
from acme_manager.errors import IssuanceFailed, Problem
from tests.integration.site import csr_for
from tests.unit.api.served import SOON, Server, open_server

# fmt: off
ORDER = [
    "domain", "issuer", "bundle", "san", "days", "renewal_days", "renewal_date", "dns_challenge",
    "http_challenge", "expires", "fingerprint", "owner", "csr", "labels", "encryption", "serial",
    "key_type", "profile", "updated_at", "deleted_at", "renewal_count", "name",
]
# fmt: on
OURS = ["issued_at", "issued_by"]  # members that the Go original does not know, and skips
ALWAYS = ["cert", "ca_issuer", "url"]
PATH = "/api/v1/certificate"
SECRET = "s3cret"
BEARER = "Bearer " + base64.b64encode(f"agent:{SECRET}".encode()).decode()


@attrs.frozen
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def record(self, status: int) -> dict[str, Any]:
        """A certificate as Go encodes it: compact, in the order of its declaration, zero values left out."""
        assert self.status == status, self.body
        assert self.headers["content-type"] == "application/json"
        record: dict[str, Any] = self.json()
        assert self.body == go_json(record)  # without a newline at its end
        known = [one for one in record if one not in OURS]
        assert known == [one for one in ORDER if one in record] + ALWAYS
        assert all(record[one] for one in record if one not in ALWAYS)
        return record

    def error(self, status: int, message: str) -> None:
        """What went wrong outside of any certificate."""
        assert (self.status, self.json()["error"]) == (status, message)
        assert self.body.endswith(b"\n")

    def error_about(self, status: int, message: str, **context: str) -> None:
        """What went wrong with a certificate, and which it was."""
        assert (self.status, self.json()["err"]) == (status, message)
        assert {one: self.json()[one] for one in context} == context
        assert self.body.endswith(b"\n")


@attrs.frozen
class GoClient:
    """One connection of it, which it keeps."""

    stream: trio.SocketStream
    address: str

    async def send(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        """Its headers in its order and spelling; others in place of them, or none where that is empty."""
        content = b"" if body is None else body if isinstance(body, bytes) else go_json(body)
        fields = {"Host": self.address, "User-Agent": "Go-http-client/1.1"}
        if content or method in {"POST", "PUT"}:
            fields["Content-Length"] = str(len(content))
        fields |= {"Authorization": BEARER, "Content-Type": "application/json", "Accept-Encoding": "gzip"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        await self.stream.send_all(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + content)
        with trio.fail_after(SOON):
            return await self._receive(bodiless=method == "HEAD")

    async def _receive(self, *, bodiless: bool) -> Answer:
        received = b""
        while b"\r\n\r\n" not in received:
            received += await self._more()
        head, _, content = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(first.split(" ")[1])
        length = 0 if bodiless or status == 204 else int(headers["content-length"])
        while len(content) < length:
            content += await self._more()
        assert len(content) == length
        return Answer(status, headers, content)

    async def _more(self) -> bytes:
        data = bytes(await self.stream.receive_some(65536))
        assert data, "the server closed the connection"
        return data


def go_json(value: Any) -> bytes:
    """As Go's encoder writes it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


@asynccontextmanager
async def opened(**world: Any) -> AsyncIterator[tuple[Server, GoClient]]:
    """A node that has the agent's token, as an early version of the Go original kept it: hashed with SHA-1."""
    async with open_server(**world) as server:
        token_hash = hashlib.sha1(SECRET.encode(), usedforsecurity=False).hexdigest()
        token = Token(id="agent", token_hash=token_hash, username="web", scope=tuple(Scope))
        server.api.world.state.tokens.put(token.id, token)
        yield server, GoClient(await server.connect(), server.address)


def wish(domain: str = "www.example.com", *more: str, **facts: Any) -> dict[str, Any]:
    """A request as the agent makes it of its configuration: zero values left out."""
    san = {"san": ",".join(more)} if more else {}
    return {"domain": domain, "issuer": "test", **san, "csr": csr_for(domain, *more), "key_type": "ec256", **facts}


async def test_the_run_of_an_agent_that_begins_with_nothing() -> None:
    async with opened() as (_, go):
        listed = await go.send("GET", f"{PATH}/metadata")
        assert (listed.status, listed.headers["content-type"]) == (200, "application/json")
        assert not listed.json()  # null or a list of nothing: the same to Go's decoder

        asked = wish("www.example.com", "example.com", labels="env=a&b,team=<x>", bundle=True)
        created = await go.send("POST", PATH, asked)
        record = created.record(201)
        assert created.headers["owner"] == "web"
        assert re.fullmatch(r"req_[0-9a-f]{32}", created.headers["x-request-id"])
        assert {one: record[one] for one in asked} == asked
        assert record["owner"] == "web"
        assert record["fingerprint"] == hashlib.sha256(record["cert"].encode()).hexdigest()
        assert record["encryption"] == "ECDSA-256"
        assert re.fullmatch(r"[1-9a-f][0-9a-f]*", record["serial"])
        time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC"
        assert all(re.fullmatch(time, record[one]) for one in ("expires", "renewal_date"))
        assert "private_key" not in record  # it never left the host

        (listed_one,) = (await go.send("GET", f"{PATH}/metadata")).json()
        assert not {*ALWAYS, "private_key"} & set(listed_one)
        assert {**record, "updated_at": 0} | listed_one == {
            **record,
            "updated_at": listed_one["updated_at"],
        } | listed_one
        assert listed_one["csr"] == asked["csr"]


async def test_reads_have_a_body_which_says_nothing_new() -> None:
    async with opened() as (_, go):
        await go.send("POST", PATH, wish())
        await go.send("POST", PATH, wish(name="front", domain="front.example.com"))
        of_one = {"domain": "www.example.com", "issuer": "test"}
        first = (await go.send("GET", f"{PATH}/test/www.example.com", of_one)).record(200)
        assert (first["domain"], "name" in first) == ("www.example.com", False)
        named = {"domain": "front.example.com", "issuer": "test", "name": "front"}
        for target in (f"{PATH}/test/front.example.com?name=front", f"{PATH}/front"):
            assert (await go.send("GET", target, named)).record(200)["name"] == "front"
        (found,) = (await go.send("GET", f"{PATH}/metadata?issuer=test&domain=www.example.com", of_one)).json()
        assert found["fingerprint"] == first["fingerprint"]
        (found,) = (await go.send("GET", f"{PATH}/metadata?issuer=test&domain=front.example.com&name=front")).json()
        assert found["name"] == "front"
        assert len((await go.send("GET", f"{PATH}/metadata?issuer=test")).json()) == 2  # half of a question is none
        assert (await go.send("HEAD", f"{PATH}/test/www.example.com")).status == 200


async def test_a_wildcard_goes_into_the_path_as_it_is() -> None:
    async with opened() as (server, go):
        (await go.send("POST", PATH, wish("*.example.com", dns_challenge="memory"))).record(201)
        for target in (f"{PATH}/test/*.example.com", f"{PATH}/test/%2A.example.com"):
            assert (await go.send("GET", target, {"domain": "*.example.com", "issuer": "test"})).record(200)
        assert (await go.send("DELETE", f"{PATH}/test/*.example.com?revoke=false")).status == 204
        assert server.api.world.ca.revoked == []


async def test_a_change_sends_the_kept_record_with_one_member_changed() -> None:
    async with opened() as (server, go):
        (await go.send("POST", PATH, wish(renewal_days="20-30"))).record(201)
        (kept,) = (await go.send("GET", f"{PATH}/metadata")).json()
        kept.pop("renewal")  # what it does not know it does not keep
        kept = {one: kept[one] for one in ORDER if one in kept}
        for change in ({"labels": "env=prod"}, {"renewal_days": "10-15"}):
            changed = (await go.send("PUT", PATH, kept | change)).record(200)
            assert {one: changed[one] for one in change} == change
            assert changed["fingerprint"] == kept["fingerprint"]
            kept |= change
        assert len(server.api.world.ca.requests) == 1  # nothing of it is the CA's business

        await go.send("PUT", PATH, {one: value for one, value in kept.items() if one != "labels"})
        assert "labels" not in (await go.send("GET", f"{PATH}/test/www.example.com")).record(200)


async def test_other_names_or_another_key_make_a_new_certificate_and_the_old_one_is_revoked_if_that_is_wanted() -> None:
    async with opened() as (server, go):
        old = (await go.send("POST", PATH, wish())).record(201)
        more = (await go.send("PUT", PATH, wish("www.example.com", "example.com"))).record(200)
        assert (more["san"], more["fingerprint"] == old["fingerprint"]) == ("example.com", False)
        assert server.api.world.ca.revoked == []
        other_key = (await go.send("PUT", PATH, wish("www.example.com", "example.com", revoke=True))).record(200)
        assert other_key["serial"] != more["serial"]
        assert len(server.api.world.ca.revoked) == 1
        assert "revoke" not in other_key
        absent = await go.send("PUT", PATH, wish("absent.example.com"))
        absent.error(404, "certificate 'web/test/absent.example.com' not found")


async def test_a_named_certificate_may_get_another_domain() -> None:
    async with opened() as (_, go):
        (await go.send("POST", PATH, wish(name="front"))).record(201)
        moved = (await go.send("PUT", PATH, wish("new.example.com", name="front"))).record(200)
        assert (moved["name"], moved["domain"]) == ("front", "new.example.com")
        assert len((await go.send("GET", f"{PATH}/metadata")).json()) == 1
        assert (await go.send("DELETE", f"{PATH}/test/new.example.com?name=front&revoke=true")).status == 204
        assert not (await go.send("GET", f"{PATH}/metadata")).json()


async def test_what_is_deleted_is_gone_and_revoked_if_that_is_wanted() -> None:
    async with opened() as (server, go):
        (await go.send("POST", PATH, wish())).record(201)
        gone = await go.send("DELETE", f"{PATH}/test/www.example.com?revoke=true")
        assert (gone.status, gone.body) == (204, b"")
        assert len(server.api.world.ca.revoked) == 1
        again = await go.send("DELETE", f"{PATH}/test/www.example.com?revoke=true")
        again.error(404, "certificate 'web/test/www.example.com' not found")
        missing = await go.send("GET", f"{PATH}/test/www.example.com", {"domain": "www.example.com", "issuer": "test"})
        missing.error_about(
            404,
            "certificate 'web/test/www.example.com' not found",
            issuer="test",
            domain="www.example.com",
            name="",
            owner="web",
        )
        (await go.send("POST", PATH, wish())).record(201)  # at once: it is not pending


async def test_it_repeats_a_post_that_failed_and_one_whose_answer_was_lost() -> None:
    failing = [True]

    async def before(_step: str) -> None:
        if failing:
            failing.pop()
            raise IssuanceFailed("the CA is out of order", Problem("urn:ietf:params:acme:error:serverInternal", "oops"))

    async with opened(before=before) as (server, go):
        asked = wish()
        about = {"issuer": "test", "domain": "www.example.com", "name": "", "owner": "web"}
        failed = await go.send("POST", PATH, asked)
        failed.error_about(500, failed.json()["err"], **about)
        assert "the CA is out of order" in failed.json()["err"]
        (await go.send("POST", PATH, asked)).record(201)
        (await go.send("POST", PATH, asked)).error_about(409, "certificate already exists", **about)
        assert len(server.api.world.ca.placed) == 1


async def test_a_limit_says_when_to_come_back() -> None:
    common = Common(rate_limit_enabled=True, rate_limit_window=600.0, rate_limit_max_requests=1)
    async with opened(common=common) as (_, go):
        (await go.send("POST", PATH, wish())).record(201)
        limited = await go.send("PUT", PATH, wish("www.example.com", "example.com"))
        limited.error_about(429, "rate limit exceeded, retry after 600s", domain="www.example.com", owner="web")
        assert limited.headers["retry-after"] == "600"


async def test_bodies_are_read_as_go_reads_them() -> None:
    async with opened() as (_, go):
        spelled = {one.upper(): value for one, value in wish().items()}
        body = go_json(spelled | {"unknown": {"a": [1]}, "SAN": None}) + b'\n{"issuer":"other"}'
        (await go.send("POST", PATH, body)).record(201)
        (await go.send("POST", PATH, wish("plain.example.com"), Content_Type="")).record(201)


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("", "authorization Header is missing or empty"),
        ("Basic YTpi", "invalid token format"),
        ("Bearer !", "invalid token format"),
        ("Bearer " + base64.b64encode(b"agent").decode(), "invalid token format"),
        ("Bearer " + base64.b64encode(b"other:x").decode(), "token id 'other' not found"),
        ("Bearer " + base64.b64encode(b"agent:x").decode(), "invalid token"),
    ],
)
async def test_who_can_not_be_identified_is_told_why(authorization: str, message: str) -> None:
    async with opened() as (_, go):
        for method, target in (("GET", f"{PATH}/metadata"), ("POST", PATH), ("DELETE", f"{PATH}/a/b?revoke=true")):
            (await go.send(method, target, Authorization=authorization)).error(401, message)
        assert (await go.send("GET", f"{PATH}/metadata", Authorization=f"anything {BEARER}")).status == 200


async def test_a_request_that_can_not_be_served_is_told_why() -> None:
    async with opened() as (server, go):
        whole = wish()
        for changes, message in (
            ({"domain": ""}, "missing 'issuer' and/or 'domain' parameter"),
            ({"issuer": "no"}, "invalid issuer 'no' must be one of [bare test]"),
            ({"name": "a/b"}, "invalid 'name' parameter: name \"a/b\" must not contain a path separator"),
            ({"days": 10, "renewal_days": "10-20"}, "'renewal_days' (10-20) should be lower than 'days' (10)"),
            (
                {"dns_challenge": "x", "http_challenge": "kvring"},
                "'dns_challenge' and 'http_challenge' are mutually exclusive",
            ),
            (
                {"labels": "1=b"},
                "[invalid Label Name '1'. Must match the regex '^[a-zA-Z_][a-zA-Z0-9_]*$']",
            ),
            ({"csr": csr_for("b.example.com")}, None),
        ):
            refused = await go.send("POST", PATH, whole | changes)
            refused.error(400, message if message is not None else refused.json()["error"])
        assert "CSR Common Name should match 'domain' parameter" in refused.json()["error"]
        (await go.send("POST", PATH, b"")).error(400, "the body is empty (EOF): it must be a JSON object")

        agent = server.api.world.state.tokens.get("agent")
        assert agent is not None
        server.api.world.state.tokens.put("agent", attrs.evolve(agent, scope=()))
        for method, target, scope in (
            ("POST", PATH, "create"),
            ("PUT", PATH, "update"),
            ("GET", f"{PATH}/a/b", "read"),
        ):
            refused = await go.send(method, target, whole)
            refused.error(403, f"invalid scope, missing '{scope}' scope")
        assert (await go.send("GET", f"{PATH}/metadata")).status == 200  # any token may


async def test_it_learns_whose_token_it_has() -> None:
    async with opened() as (_, go):
        own = (await go.send("GET", "/api/v1/token/self")).json()
        assert own["username"] == "web"
        assert own["scope"] == ["create", "read", "update", "delete"]
        assert own["expires"] == "Never"
        assert len(own["tokenHash"]) == 40
