from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import pytest

from tests.parts.dns_apis import HttpReq, httpreq
from tests.parts.faults import Answer, FaultProxy
from tests.unit.plugins.helpers import NAME, VALUE, Zones, good, run

MADE_FROM = {"domain": "www.example.test", "key_authorization": "the-token.the-thumbprint"}


@attrs.frozen
class Server:
    api: HttpReq
    at: FaultProxy

    def env(self, **more: str) -> dict[str, str]:
        login = {"HTTPREQ_USERNAME": self.api.user, "HTTPREQ_PASSWORD": self.api.password}
        return {"HTTPREQ_ENDPOINT": self.at.url, **login, **more}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with httpreq(Zones()) as (api, at):
        yield Server(api, at)


async def test_the_server_gets_what_lego_would_send(server: Server) -> None:
    await good("httpreq", "present", NAME, VALUE, env=server.env(HTTPREQ_ENDPOINT=f"{server.at.url}/"))
    await good("httpreq", "cleanup", NAME, VALUE, env=server.env())
    assert [one.line for one in server.at.seen] == ["POST /present", "POST /cleanup"]
    assert server.api.bodies == [{"fqdn": NAME, "value": VALUE}] * 2


async def test_in_raw_mode_it_gets_what_the_record_is_made_from(server: Server) -> None:
    outcome = await run("httpreq", "present", NAME, VALUE, env=server.env(HTTPREQ_MODE="RAW"), stdin=MADE_FROM)
    assert outcome.code == 0
    raw = {"domain": "www.example.test", "token": "the-token", "keyAuth": "the-token.the-thumbprint"}
    assert server.api.bodies == [raw]


async def test_raw_mode_without_that_is_refused(server: Server) -> None:
    outcome = await run("httpreq", "present", NAME, VALUE, env=server.env(HTTPREQ_MODE="RAW"))
    assert (outcome.code, outcome.cause) == (1, "input")
    assert "HTTPREQ_MODE=RAW needs domain and key_authorization" in outcome.error


async def test_a_password_of_any_letters_does(server: Server) -> None:
    server.api.password = "pässwörter 'n' more"
    await good("httpreq", "present", NAME, VALUE, env=server.env())


@pytest.mark.parametrize(("status", "cause"), [(401, "credentials"), (400, "input"), (500, "unavailable")])
async def test_a_refusal_is_told_by_its_status_alone(server: Server, status: int, cause: str) -> None:
    server.at.plan(Answer(status, (), b"<html>long story</html>"))
    outcome = await run("httpreq", "present", NAME, VALUE, env=server.env())
    assert (outcome.code, outcome.cause) == (1, cause)
    assert outcome.error.endswith(f"answered with HTTP status {status}")


@pytest.mark.parametrize(
    ("variable", "value"), [("HTTPREQ_ENDPOINT", ""), ("HTTPREQ_ENDPOINT", "ftp://x"), ("HTTPREQ_MODE", "raw")]
)
async def test_a_variable_that_is_wrong_is_named(server: Server, variable: str, value: str) -> None:
    outcome = await run("httpreq", "present", NAME, VALUE, env=server.env(**{variable: value}))
    assert (outcome.code, outcome.cause) == (1, "input")
    assert outcome.error.startswith(variable)
