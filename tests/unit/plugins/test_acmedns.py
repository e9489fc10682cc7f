from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from acme_manager.structure import together
from tests.parts.dns_apis import AcmeDns, acme_dns
from tests.parts.faults import Answer, FaultProxy
from tests.unit.plugins.helpers import NAME, VALUE, Outcome, Zones, good, run


@attrs.frozen
class Server:
    api: AcmeDns
    at: FaultProxy
    dns: Zones
    file: Path

    def env(self, **more: str) -> dict[str, str]:
        return {"ACME_DNS_API_BASE": self.at.url, "ACME_DNS_STORAGE_PATH": str(self.file), **more}

    def known(self, domain: str, **spelled: str) -> str:
        """Register an account and write it into the file; returns its name."""
        account = self.api.account()
        self.file.write_text(json.dumps({domain: {spelled.get(key, key): value for key, value in account.items()}}))
        return str(account["fulldomain"])


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    dns = Zones()
    async with acme_dns(dns, "auth.test") as (api, at):
        yield Server(api, at, dns, tmp_path / "accounts.json")


def wants_alias(outcome: Outcome, target: str) -> bool:
    return (outcome.code, outcome.cause) == (1, "zone") and f"{NAME} CNAME {target}." in outcome.error


@pytest.mark.parametrize(
    "spelled", [{}, {"fulldomain": "FullDomain", "subdomain": "SubDomain", "password": "Password"}]
)
async def test_the_account_that_the_alias_points_to_is_used(server: Server, spelled: dict[str, str]) -> None:
    target = server.known("www.example.test", **spelled)
    await good("acmedns", "present", f"{target}.", VALUE, "auth.test.", env=server.env())
    await good("acmedns", "present", f"{target}.", "w" * 43, "auth.test.", env=server.env())
    assert server.dns.records == {target: [f'"{VALUE}"', f'"{"w" * 43}"']}
    await good("acmedns", "cleanup", f"{target}.", VALUE, "auth.test.", env=server.env())


async def test_a_new_domain_gets_an_account_and_its_administrator_a_line_for_the_zone(server: Server) -> None:
    first = await run("acmedns", "present", NAME, VALUE, env=server.env(ACME_DNS_ALLOWLIST="192.0.2.0/24, ::1/128"))
    (account,) = server.api.accounts.values()
    assert account["allowfrom"] == ["192.0.2.0/24", "::1/128"]
    assert wants_alias(first, account["fulldomain"])
    assert account["password"] not in first.error
    assert server.file.stat().st_mode & 0o777 == 0o600
    again = await run("acmedns", "present", NAME, VALUE, env=server.env())
    assert wants_alias(again, account["fulldomain"])
    assert len(server.api.accounts) == 1


async def test_domains_that_register_at_once_all_stay_in_the_file(server: Server) -> None:
    domains = [f"h{number}.example.test" for number in range(5)]
    await together(
        lambda domain: run("acmedns", "present", f"_acme-challenge.{domain}.", VALUE, env=server.env()), domains
    )
    assert sorted(json.loads(server.file.read_text())) == domains


async def test_where_aliases_are_not_followed_the_domain_tells_the_account(server: Server) -> None:
    target = server.known("www.example.test")
    await good("acmedns", "present", NAME, VALUE, env=server.env(LEGO_DISABLE_CNAME_SUPPORT="true"))
    assert server.dns.records == {target: [f'"{VALUE}"']}


async def test_an_alias_to_somewhere_else_is_told_so(server: Server) -> None:
    outcome = await run("acmedns", "present", "www.elsewhere.test.", VALUE, env=server.env())
    assert (outcome.code, outcome.cause) == (1, "zone")
    assert "no account in ACME_DNS_STORAGE_PATH has the name www.elsewhere.test." in outcome.error


async def test_a_server_that_registers_nobody_is_told_so(server: Server) -> None:
    server.api.registration = False
    outcome = await run("acmedns", "present", NAME, VALUE, env=server.env())
    assert (outcome.code, outcome.cause) == (1, "credentials")
    assert "registers nobody" in outcome.error
    assert not server.file.exists()


async def test_a_password_that_is_not_accepted_is_told_so_and_not_shown(server: Server) -> None:
    target = server.known("www.example.test")
    accounts = json.loads(server.file.read_text())
    accounts["www.example.test"]["password"] = "another-secret-word"
    server.file.write_text(json.dumps(accounts))
    outcome = await run("acmedns", "present", f"{target}.", VALUE, env=server.env())
    assert (outcome.code, outcome.cause) == (1, "credentials")
    assert "is the account in ACME_DNS_STORAGE_PATH from this server" in outcome.error
    assert "another-secret-word" not in outcome.error


async def test_a_failing_server_is_unavailable(server: Server) -> None:
    target = server.known("www.example.test")
    server.at.plan(Answer(500, (), b'{"error": "db_error"}'))
    outcome = await run("acmedns", "present", f"{target}.", VALUE, env=server.env())
    assert outcome.cause == "unavailable"
    assert outcome.error.endswith("answered with HTTP status 500: db_error")


@pytest.mark.parametrize("content", ["", "[]", '{"www.example.test": 7}'])
async def test_a_file_that_is_not_one_of_accounts_is_left_alone(server: Server, content: str) -> None:
    server.file.write_text(content)
    outcome = await run("acmedns", "present", NAME, VALUE, env=server.env())
    assert (outcome.code, outcome.cause) == (1, "input")
    assert "is no JSON object of accounts" in outcome.error
    assert server.file.read_text() == content


@pytest.mark.parametrize("path", ["accounts.json", "/nowhere/accounts.json"])
async def test_a_file_that_can_not_be_written_is_an_error_before_anybody_registers(server: Server, path: str) -> None:
    outcome = await run("acmedns", "present", NAME, VALUE, env=server.env(ACME_DNS_STORAGE_PATH=path))
    assert (outcome.code, outcome.cause) == (1, "input")
    assert outcome.error.startswith("ACME_DNS_STORAGE_PATH: '")
    assert server.api.accounts == {}
