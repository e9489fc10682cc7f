from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import pytest

from tests.parts.dns_apis import Cloudflare, cloudflare
from tests.parts.faults import Answer, FaultProxy
from tests.unit.plugins.helpers import NAME, VALUE, Zones, good, run


@attrs.frozen
class Server:
    api: Cloudflare
    at: FaultProxy
    dns: Zones

    def env(self, token: str = "zone dns", **more: str) -> dict[str, str]:
        return {"CLOUDFLARE_DNS_API_TOKEN": self.api.token(token), **self.bare(), **more}

    def bare(self) -> dict[str, str]:
        return {"CLOUDFLARE_BASE_URL": f"{self.at.url}/client/v4"}

    @property
    def shown(self) -> list[str]:
        return self.dns.records.get(NAME.rstrip("."), [])


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    dns = Zones(("example.test", "other.test", "third.test"))
    async with cloudflare(dns) as (api, at):
        yield Server(api, at, dns)


async def test_a_value_is_added_beside_others_and_removed_alone(server: Server) -> None:
    await good("cloudflare", "present", NAME, VALUE, "example.test.", env=server.env(CLOUDFLARE_TTL="300"))
    await good("cloudflare", "present", NAME, "w" * 43, "example.test.", env=server.env())
    assert server.shown == [f'"{VALUE}"', f'"{"w" * 43}"']
    ttls = [one["ttl"] for records in server.api.records.values() for one in records.values()]
    assert ttls == [300, 120]
    await good("cloudflare", "cleanup", NAME, VALUE, "example.test.", env=server.env())
    assert server.shown == [f'"{"w" * 43}"']


async def test_both_may_be_repeated(server: Server) -> None:
    for action, left in (("present", [f'"{VALUE}"']), ("cleanup", [])):
        for _ in range(2):
            await good("cloudflare", action, NAME, VALUE, "example.test.", env=server.env())
        assert server.shown == left


async def test_a_value_on_a_later_page_is_found(server: Server) -> None:
    values = [letter * 43 for letter in "abcde"]
    for value in values:
        await good("cloudflare", "present", NAME, value, "example.test.", env=server.env())
    assert server.at.count("^GET .*page=3") == 0
    await good("cloudflare", "cleanup", NAME, values[-1], "example.test.", env=server.env())
    assert server.at.count("^GET .*page=3") == 1
    assert server.shown == [f'"{value}"' for value in values[:-1]]


async def test_somebody_who_was_quicker_is_no_error(server: Server) -> None:
    await good("cloudflare", "present", NAME, VALUE, "example.test.", env=server.env())
    nothing = b'{"success": true, "errors": [], "result": [], "result_info": {"total_pages": 0}}'
    server.at.plan(Answer(200, (), nothing), on="^GET .*dns_records")
    await good("cloudflare", "present", NAME, VALUE, "example.test.", env=server.env())
    gone = b'{"success": false, "errors": [{"code": 81044, "message": "Record does not exist."}]}'
    server.at.plan(Answer(404, (), gone), on="^DELETE")
    await good("cloudflare", "cleanup", NAME, VALUE, "example.test.", env=server.env())


@pytest.mark.parametrize("hint", ["", "test.", "elsewhere.test."])
async def test_without_a_good_hint_the_zone_is_looked_for(server: Server, hint: str) -> None:
    await good("cloudflare", "present", NAME, VALUE, hint, env=server.env())
    assert server.shown == [f'"{VALUE}"']


async def test_of_two_zones_of_one_name_the_active_one_is_taken(server: Server) -> None:
    server.api.zones = {"moved": {"id": "moved", "name": "example.test", "status": "moved"}, **server.api.zones}
    await good("cloudflare", "present", NAME, VALUE, "example.test.", env=server.env())
    assert server.shown == [f'"{VALUE}"']


async def test_zones_may_be_looked_up_with_another_token(server: Server) -> None:
    env = server.bare() | {"CF_DNS_API_TOKEN": server.api.token("dns"), "CF_ZONE_API_TOKEN": server.api.token("zone")}
    await good("cloudflare", "present", NAME, VALUE, "example.test.", env=env)


@pytest.mark.parametrize("names", [("CLOUDFLARE_EMAIL", "CLOUDFLARE_API_KEY"), ("CF_API_EMAIL", "CF_API_KEY")])
async def test_an_address_and_the_accounts_key_do_as_well(server: Server, names: tuple[str, str]) -> None:
    env = server.bare() | dict(zip(names, (server.api.email, server.api.key), strict=True))
    await good("cloudflare", "present", NAME, VALUE, "example.test.", env=env)
    outcome = await run("cloudflare", "present", NAME, VALUE, env=env | {names[1]: "0" * 37})
    assert (outcome.code, outcome.cause) == (1, "credentials")
    assert "Unknown X-Auth-Key or X-Auth-Email (9103)" in outcome.error


async def test_a_token_that_sees_no_zone_is_told_what_it_lacks(server: Server) -> None:
    outcome = await run("cloudflare", "present", NAME, VALUE, "example.test.", env=server.env("dns"))
    assert (outcome.code, outcome.cause) == (1, "zone")
    assert "must have Zone:Read" in outcome.error


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("x" * 40, "Invalid access token (9109)"),
        ("short", "Invalid request headers (6003); Invalid format for Authorization header (6111)"),
    ],
)
async def test_a_token_that_is_not_accepted_is_told_so(server: Server, token: str, words: str) -> None:
    outcome = await run("cloudflare", "present", NAME, VALUE, env=server.bare() | {"CLOUDFLARE_DNS_API_TOKEN": token})
    assert (outcome.code, outcome.cause) == (1, "credentials")
    assert words in outcome.error


async def test_a_token_that_may_not_write_is_told_so(server: Server) -> None:
    outcome = await run("cloudflare", "present", NAME, VALUE, "example.test.", env=server.env("zone"))
    assert (outcome.code, outcome.cause) == (1, "credentials")
    assert "Authentication error (10000); is the token in use, and does it have Zone:Read and DNS:Edit" in outcome.error


async def test_a_limit_of_requests_says_when_to_come_again(server: Server) -> None:
    body = b'{"success": false, "errors": [{"code": 971, "message": "Please wait."}]}'
    server.at.plan(Answer(429, ((b"Retry-After", b"42"),), body))
    outcome = await run("cloudflare", "present", NAME, VALUE, env=server.env())
    assert (outcome.cause, outcome.said["retry_after"]) == ("unavailable", 42)


async def test_without_credentials_it_says_which_to_set(server: Server) -> None:
    outcome = await run("cloudflare", "present", NAME, VALUE, env=server.bare())
    assert (outcome.code, outcome.cause) == (1, "input")
    assert outcome.error.startswith("CLOUDFLARE_DNS_API_TOKEN is not set; it must be an API token")
