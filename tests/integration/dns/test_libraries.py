"""lego and lexicon write to servers, and a CA looks at it. PowerDNS and BIND are real; the others write to BIND."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import pytest
import trio
from prometheus_client import CollectorRegistry

from acme_manager.config.model import DnsConfig
from acme_manager.dns.libraries import VERIFIED, LegoSource, LexiconSource
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.providers import Source
from acme_manager.dns.registry import Registry
from acme_manager.dns.solver import DnsSolver, DnsSolvers
from acme_manager.dns.table import lego_providers
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import DnsFailed
from acme_manager.issuance.issuer import AcmeIssuer
from acme_manager.ports import Challenge
from tests.integration.dns.servers import environ as rfc2136
from tests.integration.dns.shipped import runner, write_program
from tests.integration.issuance.helpers import issue, make_request, opened
from tests.parts.bind import bind
from tests.parts.dns_apis import acme_dns, cloudflare, httpreq
from tests.parts.dns_server import DnsServer
from tests.parts.pebble import pebble
from tests.parts.powerdns import PowerDns, powerdns

ZONES = {"example.test": "zonesub ANY", "auth.test": "zonesub TXT"}
DELEGATED = {"example.test": ("_acme-challenge.alias CNAME there.auth.test.",)}


@attrs.frozen(kw_only=True)
class Site:
    """Servers that lego and lexicon can write to, and a CA that sees all of them."""

    dns: DnsServer
    power: PowerDns
    issuer: AcmeIssuer
    environ: Mapping[str, str]

    def solver(self, source: Source, name: str, **more: str) -> DnsSolver:
        # lego asks resolvers for the record's zone before the record is there. The CA's would remember that it is not.
        resolver = self.power.at if name == "pdns" else self.dns.at
        config = DnsConfig(resolvers=(resolver,), timeout=2.0, authoritative_port=self.dns.port)
        metrics = DnsMetrics(CollectorRegistry())
        return DnsSolvers(config, {**self.environ, **more}, metrics, Registry([source])).solver(name)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dns = await enter(bind(tmp_path, ZONES, records=DELEGATED, elsewhere={"power.test": "127.0.0.2"}))
        power = await enter(powerdns(tmp_path, ["power.test"], at=("127.0.0.2", dns.port)))
        cloud, cloud_at = await enter(cloudflare(dns))
        _, accounts_at = await enter(acme_dns(dns, "auth.test"))
        endpoint, endpoint_at = await enter(httpreq(dns))
        ca = await enter(pebble(tmp_path, dns=dns.at))
        environ = {
            **rfc2136(dns),
            "PDNS_API_URL": power.url,
            "PDNS_API_KEY": power.key,
            "CLOUDFLARE_BASE_URL": f"{cloud_at.url}/client/v4",
            "CLOUDFLARE_DNS_API_TOKEN": cloud.token("zone dns"),
            "ACME_DNS_API_BASE": accounts_at.url,
            "ACME_DNS_STORAGE_PATH": str(tmp_path / "accounts.json"),
            "HTTPREQ_ENDPOINT": endpoint_at.url,
            "HTTPREQ_USERNAME": endpoint.user,
            "HTTPREQ_PASSWORD": endpoint.password,
            "EXEC_PATH": str(write_program(dns, tmp_path)),
        }
        issuer = await enter(opened(ca.directory, None, ca=ca.ca_pem))
        yield Site(dns=dns, power=power, issuer=issuer, environ=environ)


def challenge(domain: str) -> Challenge:
    return Challenge(parse_identifier(domain), "dns-01", "token", "token.thumbprint")


async def test_a_ca_accepts_what_they_wrote_and_nothing_is_left(site: Site) -> None:
    lego, lexicon = LegoSource(runner()), LexiconSource(runner())
    seen: dict[str, list[str]] = {"lego": [], "lexicon": []}
    for source, name, more in (
        (lego, "rfc2136", {}),
        (lego, "pdns", {}),
        (lego, "httpreq", {}),
        (lego, "httpreq", {"HTTPREQ_MODE": "RAW"}),
        (lego, "exec", {}),
        (lego, "cloudflare", {}),  # one of those that must be removed by the process that wrote them
        (lexicon, "pdns", {}),
    ):
        domain = f"{source.name}-{name}.{'power' if name == 'pdns' else 'example'}.test"
        # A wildcard and its base have two values at one name; lego's own dynamic updates know only one.
        request = make_request(domain, *([] if name == "rfc2136" else [f"*.{domain}"]))
        assert (await issue(site.issuer, request, site.solver(source, name, **more))).chain
        server = site.power if name == "pdns" else site.dns
        assert await server.txt(f"_acme-challenge.{domain}") == set()
        seen[source.name].append(name)
    assert set(VERIFIED["lego"]) <= {lego_providers()[name].name for name in seen["lego"]}
    assert set(VERIFIED["lexicon"]) <= set(seen["lexicon"])


async def test_lego_follows_an_alias_to_where_the_record_belongs(site: Site) -> None:
    solver = site.solver(LegoSource(runner()), "rfc2136")
    traces = await solver.plan([challenge("alias.example.test")])
    async with solver.presented(traces):
        assert await site.dns.txt("there.auth.test") == {traces[0]["value"]}
    assert await site.dns.txt("there.auth.test") == set()


async def test_a_record_that_only_its_writer_can_remove_goes_when_an_order_is_given_up(site: Site) -> None:
    solver = site.solver(LegoSource(runner()), "cloudflare")
    traces = await solver.plan([challenge("given-up.example.test")])
    with trio.move_on_after(60) as scope:
        async with solver.presented(traces):
            assert await site.dns.txt("_acme-challenge.given-up.example.test") == {traces[0]["value"]}
            scope.cancel()
            await trio.sleep_forever()
    assert await site.dns.txt("_acme-challenge.given-up.example.test") == set()


async def test_a_later_process_says_why_it_can_not_remove_such_a_record(site: Site) -> None:
    solver = site.solver(LegoSource(runner()), "cloudflare")
    with pytest.raises(DnsFailed, match="only in the process that wrote them"):
        await solver.remove(await solver.plan([challenge("www.example.test")]))


async def test_an_error_of_theirs_says_what_is_wrong_and_shows_no_secret(site: Site) -> None:
    for source, name, secret in (
        (LexiconSource(runner()), "pdns", {"PDNS_API_KEY": "not-the-key"}),
        (LegoSource(runner()), "rfc2136", {"RFC2136_TSIG_SECRET": "bm90LXRoZS1zZWNyZXQ="}),
        (LegoSource(runner()), "cloudflare", {"CLOUDFLARE_DNS_API_TOKEN": "not-the-token"}),
    ):
        solver = site.solver(source, name, **secret)
        zone = "power" if name == "pdns" else "example"
        with pytest.raises(DnsFailed) as caught:
            async with solver.presented(await solver.plan([challenge(f"www.{zone}.test")])):
                pass
        assert caught.value.cause == "credentials", str(caught.value)
        assert next(iter(secret.values())) not in str(caught.value)


async def test_acme_dns_says_which_alias_it_needs_and_then_writes(site: Site) -> None:
    solver = site.solver(LegoSource(runner()), "acme-dns")
    traces = await solver.plan([challenge("aliased.example.test")])
    with pytest.raises(DnsFailed, match=r"_acme-challenge\.aliased\.example\.test\.? CNAME ") as caught:
        async with solver.presented(traces):
            pass
    target = str(caught.value).rpartition(" CNAME ")[2].rstrip(".")
    await site.dns.add("example.test", "_acme-challenge.aliased.example.test", "CNAME", f"{target}.")
    request = make_request("aliased.example.test")
    assert (await issue(site.issuer, request, site.solver(LegoSource(runner()), "acme-dns"))).chain
