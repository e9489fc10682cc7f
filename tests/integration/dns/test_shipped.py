"""A CA looks at what each of the shipped plugins wrote. PowerDNS is real; the others write to BIND."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import pytest
from prometheus_client import CollectorRegistry

from acme_manager.config.model import DnsConfig
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.registry import Registry
from acme_manager.dns.solver import DnsSolver, DnsSolvers
from acme_manager.errors import DnsFailed
from acme_manager.issuance.issuer import AcmeIssuer
from tests.integration.dns.shipped import shipped_source, write_program
from tests.integration.issuance.helpers import issue, make_request, opened
from tests.parts.bind import bind
from tests.parts.dns_apis import AcmeDns, HttpReq, acme_dns, cloudflare, httpreq
from tests.parts.dns_server import DnsServer
from tests.parts.pebble import pebble
from tests.parts.powerdns import PowerDns, powerdns

ZONES = {"example.test": "zonesub ANY", "auth.test": "zonesub TXT"}


@attrs.frozen(kw_only=True)
class Site:
    """Every provider with a zone, and a CA that sees all of them."""

    dns: DnsServer
    power: PowerDns
    issuer: AcmeIssuer
    acme_dns: AcmeDns
    httpreq: HttpReq
    environ: Mapping[str, str]

    def solver(self, name: str, **more: str) -> DnsSolver:
        config = DnsConfig(resolvers=(self.dns.at,), timeout=2.0, authoritative_port=self.dns.port)
        registry = Registry([shipped_source()])
        metrics = DnsMetrics(CollectorRegistry())
        return DnsSolvers(config, {**self.environ, **more}, metrics, registry).solver(name)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dns = await enter(bind(tmp_path, ZONES, elsewhere={"power.test": "127.0.0.2"}))
        power = await enter(powerdns(tmp_path, ["power.test"], at=("127.0.0.2", dns.port)))
        cloud, cloud_at = await enter(cloudflare(dns))
        accounts, accounts_at = await enter(acme_dns(dns, "auth.test"))
        endpoint, endpoint_at = await enter(httpreq(dns))
        ca = await enter(pebble(tmp_path, dns=dns.at))
        environ = {
            "PDNS_API_URL": power.url,
            "PDNS_API_KEY": power.key,
            "CLOUDFLARE_BASE_URL": f"{cloud_at.url}/client/v4",
            "CF_DNS_API_TOKEN": cloud.token("dns"),
            "CF_ZONE_API_TOKEN": cloud.token("zone"),
            "ACME_DNS_API_BASE": accounts_at.url,
            "ACME_DNS_STORAGE_PATH": str(tmp_path / "accounts.json"),
            "HTTPREQ_ENDPOINT": endpoint_at.url,
            "HTTPREQ_USERNAME": endpoint.user,
            "HTTPREQ_PASSWORD": endpoint.password,
            "EXEC_PATH": str(write_program(dns, tmp_path)),
        }
        issuer = await enter(opened(ca.directory, None, ca=ca.ca_pem))
        yield Site(dns=dns, power=power, issuer=issuer, acme_dns=accounts, httpreq=endpoint, environ=environ)


async def test_a_ca_accepts_what_each_of_them_wrote_and_nothing_is_left(site: Site) -> None:
    for name, zone, more in (
        ("pdns", "power.test", {}),
        ("cloudflare", "example.test", {}),
        ("httpreq", "example.test", {}),
        ("httpreq", "example.test", {"HTTPREQ_MODE": "RAW"}),
        ("exec", "example.test", {}),
        ("exec", "example.test", {"EXEC_MODE": "RAW"}),
    ):
        # A wildcard and its base have two values at one name.
        request = make_request(f"{name}.{zone}", f"*.{name}.{zone}")
        assert (await issue(site.issuer, request, site.solver(name, **more))).chain
        server = site.power if name == "pdns" else site.dns
        assert await server.txt(f"_acme-challenge.{name}.{zone}") == set()
    assert [sorted(body) for body in site.httpreq.bodies[-4:]] == [["domain", "keyAuth", "token"]] * 4


async def test_acme_dns_says_which_alias_it_needs_and_then_issues(site: Site, tmp_path: Path) -> None:
    request = make_request("www.example.test", "*.www.example.test")
    with pytest.raises(
        DnsFailed, match=r"add this to its zone.*: _acme-challenge\.www\.example\.test\. CNAME "
    ) as caught:
        await issue(site.issuer, request, site.solver("acme-dns"))
    assert caught.value.cause == "zone"
    (account,) = site.acme_dns.accounts.values()
    assert f"CNAME {account['fulldomain']}." in str(caught.value)
    assert json.loads((tmp_path / "accounts.json").read_text())["www.example.test"]["password"] == account["password"]

    await site.dns.add("example.test", "_acme-challenge.www.example.test", "CNAME", f"{account['fulldomain']}.")
    assert (await issue(site.issuer, request, site.solver("acme-dns"))).chain
    assert len(site.acme_dns.accounts) == 1
