"""`-dns.check` with the configuration that a server would have."""

from __future__ import annotations

import attrs
import pytest

from acme_manager.cli.dns_commands import check_provider, parse_target
from acme_manager.config.model import Common, Config, VaultConfig
from acme_manager.errors import ConfigInvalid, DnsFailed, InvalidRequest
from tests.integration.dns.servers import config as dns_config
from tests.integration.dns.servers import environ
from tests.parts.dns_server import DnsServer

VAULT = VaultConfig(
    url="https://vault.example",
    role_id="r",
    secret_id="s",
    secret_engine="kv",
    certificate_prefix="certificates",
    token_prefix="tokens",
)


def configured(server: DnsServer, **more: str) -> Config:
    variables = {**environ(server), **more}
    return Config(common=Common(), issuers={}, vault=VAULT, dns=dns_config(server), environ=variables)


async def test_it_says_where_the_record_belongs_who_shows_it_and_that_it_is_gone(bind_server: DnsServer) -> None:
    said: list[str] = []
    await check_provider(configured(bind_server), "rfc2136:one.example.test", said.append)
    steps = [line.partition(" s  ")[2] for line in said]
    at = f"({bind_server.address}:{bind_server.port})"
    assert steps[0] == "the record of one.example.test belongs at one.auth.test, in the zone auth.test"
    assert steps[1].startswith("written by rfc2136: one.auth.test TXT ")
    assert steps[2:] == [
        f"ns.auth.test {at} shows it",
        "every server that is asked shows it",
        "removed",
        f"ns.auth.test {at} says that the name does not exist (NXDOMAIN)",
    ]
    assert await bind_server.txt("one.auth.test") == set()


async def test_it_fails_as_an_order_would(bind_server: DnsServer) -> None:
    wrong = configured(bind_server, RFC2136_TSIG_SECRET="bm90LXRoZS1zZWNyZXQ=")
    with pytest.raises(DnsFailed, match="another secret or algorithm"):
        await check_provider(wrong, "rfc2136:www.example.test", print)
    mistyped = configured(bind_server, OVH_APPLICATON_KEY="x")
    with pytest.raises(ConfigInvalid, match="OVH_APPLICATON_KEY"):
        await check_provider(mistyped, "ovh:www.example.test", print)


@pytest.mark.parametrize("text", ["ovh", ":example.com", "ovh:", ""])
def test_what_is_to_be_checked_has_two_parts(text: str) -> None:
    with pytest.raises(InvalidRequest, match="PROVIDER:ZONE"):
        parse_target(text)


def test_a_provider_may_have_a_colon_and_a_wildcard_is_proven_at_its_base() -> None:
    assert attrs.astuple(parse_target("ovh:*.example.com")) == ("ovh", "example.com")
