"""plugins/pdns against an API whose answers a test chooses; tests/contracts runs it against PowerDNS itself."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
import trio

from tests.parts import tls
from tests.parts.dns_apis import header, reply
from tests.parts.faults import Answer, Delay, FaultProxy, Reply, Request, faulty_server
from tests.unit.plugins.helpers import NAME, good, run

KEY = "the-secret-key"


@attrs.define
class Api:
    """As much of PowerDNS as the plugin asks for."""

    zones: tuple[str, ...] = ("example.test.", "deep.www.example.test.")
    kind: str = "Native"
    records: list[dict[str, Any]] = attrs.field(factory=list)  # of NAME
    patched: Callable[[Api], None] = attrs.field(default=lambda _: None)  # what somebody else does right after a PATCH
    ttl: int = 7

    async def answer(self, request: Request) -> Reply:
        path = urlsplit(request.target).path.removeprefix("/api/v1/servers/localhost")
        if header(request, "X-API-Key") != KEY:
            return Reply(status=401, body=b"Unauthorized")
        if path == "":
            return reply(200, {"id": "localhost"})
        zone, _, rest = path.removeprefix("/zones/").partition("/")
        if zone not in self.zones:
            return reply(404, {"error": "Not Found"})
        if rest == "notify":
            return reply(200, {"result": "Notification queued"})
        if request.method == "PATCH":
            (rrset,) = json.loads(request.body)["rrsets"]
            assert rrset["changetype"] == "REPLACE"
            self.records, self.ttl = rrset["records"], rrset["ttl"]
            self.patched(self)
            return Reply(status=204)
        rrset = {"name": NAME, "type": "TXT", "ttl": self.ttl, "records": self.records, "comments": []}
        return reply(200, {"id": zone, "kind": self.kind, "rrsets": [rrset] if self.records else []})


@attrs.frozen
class Server:
    api: Api
    at: FaultProxy

    def env(self, **more: str) -> dict[str, str]:
        return {"PDNS_API_URL": self.at.url, "PDNS_API_KEY": KEY, **more}

    @property
    def lines(self) -> list[str]:
        return [one.line.replace("/api/v1/servers/localhost", "") for one in self.at.seen]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    api = Api()
    async with faulty_server(api.answer) as at:
        yield Server(api, at)


def record(value: str, *, disabled: bool = False) -> dict[str, Any]:
    return {"content": f'"{value}"', "disabled": disabled}


async def test_what_others_have_there_stays_as_it_is(server: Server) -> None:
    server.api.records = [record("theirs"), record("asleep", disabled=True)]
    await good("pdns", "present", NAME, "ours", "example.test.", env=server.env(PDNS_TTL="60"))
    assert server.api.records == [record("theirs"), record("asleep", disabled=True), record("ours")]
    assert server.api.ttl == 60
    await good("pdns", "cleanup", NAME, "ours", "example.test.", env=server.env())
    assert server.api.records == [record("theirs"), record("asleep", disabled=True)]
    assert server.api.ttl == 60


async def test_what_is_done_already_is_not_done_again(server: Server) -> None:
    server.api.records = [record("ours")]
    await good("pdns", "present", NAME, "ours", "example.test.", env=server.env())
    await good("pdns", "cleanup", NAME, "other", "example.test.", env=server.env())
    assert [line.split()[0] for line in server.lines] == ["GET"] * 4


async def test_a_value_that_was_disabled_is_enabled(server: Server) -> None:
    server.api.records = [record("ours", disabled=True)]
    await good("pdns", "present", NAME, "ours", "example.test.", env=server.env())
    assert server.api.records == [record("ours")]


@pytest.mark.parametrize("hint", ["", "elsewhere.test.", "test."])
async def test_without_a_good_hint_the_nearest_of_the_servers_zones_is_taken(server: Server, hint: str) -> None:
    await good("pdns", "present", NAME, "ours", hint, env=server.env())
    assert [line for line in server.lines if line.startswith("PATCH")] == ["PATCH /zones/example.test."]


async def test_a_name_in_none_of_its_zones_is_told_so(server: Server) -> None:
    outcome = await run("pdns", "present", "_acme-challenge.other.invalid.", "ours", env=server.env())
    assert (outcome.code, outcome.cause) == (1, "zone")
    assert "has no zone that _acme-challenge.other.invalid. is in" in outcome.error


async def test_a_wrong_key_is_told_with_what_to_compare(server: Server) -> None:
    outcome = await run("pdns", "present", NAME, "ours", env=server.env(PDNS_API_KEY="another-secret"))
    assert (outcome.code, outcome.cause) == (1, "credentials")
    assert "PDNS_API_KEY must be the api-key of pdns.conf" in outcome.error


async def test_an_unknown_server_name_is_told_from_a_missing_zone() -> None:
    async def nothing(request: Request) -> Reply:
        return reply(404, {"error": "Not Found"})

    async with faulty_server(nothing) as at:
        env = {"PDNS_API_URL": at.url, "PDNS_API_KEY": KEY, "PDNS_SERVER_NAME": "elsewhere"}
        outcome = await run("pdns", "present", NAME, "ours", env=env)
        assert (outcome.code, outcome.cause) == (1, "input")
        assert "PDNS_SERVER_NAME" in outcome.error
        assert "/servers/elsewhere/" in at.seen[0].target


async def test_a_change_that_somebody_else_undid_is_made_again(server: Server) -> None:
    def undo(api: Api) -> None:
        api.records, api.patched = [record("theirs")], lambda _: None

    server.api.patched = undo
    await good("pdns", "present", NAME, "ours", "example.test.", env=server.env())
    assert server.api.records == [record("theirs"), record("ours")]


async def test_somebody_who_undoes_every_change_is_not_fought_for_ever(server: Server) -> None:
    server.api.patched = lambda api: api.records.clear()
    outcome = await run("pdns", "present", NAME, "ours", "example.test.", env=server.env())
    assert (outcome.code, outcome.cause) == (1, "unavailable")
    assert "somebody else keeps changing" in outcome.error


async def test_secondaries_are_told_of_a_change(server: Server) -> None:
    server.api.kind = "Master"
    await good("pdns", "present", NAME, "ours", "example.test.", env=server.env())
    assert server.lines[-1] == "PUT /zones/example.test./notify"


async def test_a_busy_server_says_when_to_come_again(server: Server) -> None:
    server.at.plan(Answer(503, ((b"Retry-After", b"17"),)))
    outcome = await run("pdns", "present", NAME, "ours", env=server.env())
    assert outcome.said == {
        "error": f"PowerDNS at {server.at.url.removeprefix('http://')} answered with HTTP status 503",
        "cause": "unavailable",
        "retry_after": 17,
    }


async def test_a_server_that_repeats_the_key_does_not_get_it_shown(server: Server) -> None:
    server.at.plan(Answer(422, (), json.dumps({"error": f"what is {KEY}?"}).encode()), on="PATCH")
    outcome = await run("pdns", "present", NAME, "ours", "example.test.", env=server.env())
    assert (outcome.code, outcome.cause) == (1, "input")
    assert "what is ****?" in outcome.error


@pytest.mark.parametrize("body", [b"[]", b"null", b"<html>", b'{"rrsets": 7}'])
async def test_an_answer_of_another_shape_is_an_error_and_no_crash(server: Server, body: bytes) -> None:
    server.at.plan(Answer(200, (), body), on="GET", times=9)
    outcome = await run("pdns", "present", NAME, "ours", env=server.env())
    assert (outcome.code, outcome.cause) == (1, "unavailable")
    assert "can't be understood" in outcome.error


async def test_a_silent_server_is_given_up(server: Server) -> None:
    server.at.plan(Delay())
    with trio.fail_after(5):
        outcome = await run("pdns", "present", NAME, "ours", env=server.env(PDNS_HTTP_TIMEOUT="0.2"))
    assert (outcome.code, outcome.cause) == (1, "unavailable")
    assert "can't be reached: timed out" in outcome.error


async def test_the_key_goes_to_the_address_of_the_configuration_only(server: Server) -> None:
    async with faulty_server(server.api.answer) as elsewhere:
        server.at.plan(Answer(302, ((b"Location", elsewhere.url.encode()),)))
        outcome = await run("pdns", "present", NAME, "ours", env=server.env())
        assert (outcome.code, outcome.cause) == (1, "input")
        assert "points elsewhere (HTTP status 302)" in outcome.error
        assert elsewhere.seen == []


async def test_only_a_certificate_of_a_trusted_ca_will_do(server: Server, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(tls.authority().cert_pem.bytes())
    async with faulty_server(server.api.answer, secure=True) as secure:
        outcome = await run("pdns", "present", NAME, "ours", env=server.env(PDNS_API_URL=secure.url))
        assert (outcome.code, outcome.cause) == (1, "input")
        assert "can't be trusted" in outcome.error
        assert secure.seen == []
        env = server.env(PDNS_API_URL=secure.url, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        await good("pdns", "present", NAME, "ours", env=env)


async def test_a_proxy_is_used_except_for_this_host(server: Server) -> None:
    env = server.env(PDNS_API_URL="http://ns.invalid", http_proxy=server.at.url)
    await good("pdns", "present", NAME, "ours", env=env)
    assert server.at.seen[0].target.startswith("http://ns.invalid/api/v1/")
    await good("pdns", "present", NAME, "ours", env=server.env(http_proxy="http://127.0.0.1:1"))


async def test_variables_may_be_files(server: Server, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    env = {"PDNS_API_URL": f"{server.at.url}/api/v1/", "PDNS_API_KEY_FILE": str(tmp_path / "key")}
    await good("pdns", "present", NAME, "ours", env=env)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PDNS_API_URL", ""),
        ("PDNS_API_URL", "ns.example.test:8081"),
        ("PDNS_API_URL", "http://user:word@ns.example.test"),
        ("PDNS_API_KEY", ""),
        ("PDNS_API_KEY", "two\nlines"),
        ("PDNS_API_KEY_FILE", "/nowhere"),
        ("PDNS_TTL", "a day"),
        ("PDNS_HTTP_TIMEOUT", "0"),
        ("PDNS_API_VERSION", "2"),
    ],
)
async def test_a_variable_that_is_wrong_is_named(variable: str, value: str) -> None:
    env = {"PDNS_API_URL": "http://127.0.0.1:1", "PDNS_API_KEY": KEY, variable: value}
    if variable.endswith("_FILE"):
        del env["PDNS_API_KEY"]
    outcome = await run("pdns", "present", NAME, "ours", env=env)
    assert (outcome.code, outcome.cause) == (1, "input")
    assert outcome.error.startswith(variable)


@pytest.mark.parametrize(
    "arguments", [("",), ("present",), ("present", NAME), ("describe", "me"), ("remove", NAME, "x")]
)
async def test_a_misuse_is_answered_with_how_to_use_it(arguments: tuple[str, ...]) -> None:
    outcome = await run("pdns", *arguments, env={})
    assert outcome.code == 2
    assert outcome.stderr == "usage: pdns describe | present NAME VALUE [ZONE] | cleanup NAME VALUE [ZONE]\n"


async def test_a_folder_of_somebody_else_in_the_place_of_its_own_is_not_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"acme-manager-pdns-{os.getuid()}").symlink_to(tmp_path)
    outcome = await run("pdns", "present", NAME, "ours", env=server.env(TMPDIR=str(tmp_path)))
    assert (outcome.code, outcome.cause) == (1, "unavailable")
    assert "does not belong to this user" in outcome.error
    assert server.api.records == []
