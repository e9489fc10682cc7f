"""A look ahead at dns-01 and http-01 on real name servers, which it must leave as they are."""

from __future__ import annotations

import attrs
from prometheus_client import CollectorRegistry

from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.finding import Finding
from acme_manager.domain.request import CertificateParams
from acme_manager.domain.token import Token
from acme_manager.ring.alone import Alone
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.issuers import Issuers
from acme_manager.services.preflight_dns import look_at_challenge
from acme_manager.services.preflight_request import Question
from tests.integration.dns.servers import config, environ
from tests.parts.dns_server import DnsServer, TsigKey

CALLER = Token(id="t", token_hash="h", username="alice")


async def look(server: DnsServer, *names: str, challenge: str = "dns-01", **variables: str) -> list[Finding]:
    dns = DnsSolvers(config(server), {**environ(server), **variables}, DnsMetrics(CollectorRegistry()))
    http = HttpChallenges(Alone(), lambda: True)
    issuers = Issuers({}, http_solver=lambda _name, _store: http, dns_solver=dns.solver)
    wish = CertificateParams(domain=names[0], san=",".join(names[1:]), issuer="ca")
    by_dns, by_http = attrs.evolve(wish, dns_challenge="rfc2136"), attrs.evolve(wish, http_challenge="kvring")
    params = by_dns if challenge == "dns-01" else by_http
    first, *others = await look_at_challenge(Question.read(CALLER, params), issuers, dns)
    assert first.ok is True
    return others


async def test_where_records_go_is_shown_and_nothing_is_written_there(server: DnsServer) -> None:
    found = await look(server, "example.test", "*.example.test", "one.example.test", "a.child.example.test")
    assert [(one.ok, one.detail) for one in found] == [
        (True, "example.test: its _acme-challenge record goes into zone example.test, which the provider serves"),
        (
            True,
            "one.example.test: its _acme-challenge record goes to one.auth.test by CNAME, into zone auth.test, which"
            " the provider serves",
        ),
        (
            True,
            "a.child.example.test: its _acme-challenge record goes into zone child.example.test, which the provider"
            " serves",
        ),
    ]
    assert await server.txt("_acme-challenge.example.test") == set()


async def test_a_key_that_the_server_does_not_accept_is_found_without_writing(server: DnsServer) -> None:
    (wrong,) = await look(server, "www.example.test", RFC2136_TSIG_SECRET=TsigKey().secret)
    assert wrong.ok is False
    assert "with another secret or algorithm" in wrong.detail
    (unknown,) = await look(server, "www.example.test", RFC2136_TSIG_KEY="other.")
    assert unknown.ok is False
    assert "does not know the TSIG key 'other'" in unknown.detail


async def test_a_circle_of_cnames_is_an_unknown_of_that_name_only(server: DnsServer) -> None:
    circle, good = await look(server, "loop.example.test", "www.example.test")
    assert circle.ok is None
    assert "in a circle" in circle.detail
    assert good.ok is True


async def test_a_zone_that_the_server_does_not_have_comes_with_the_cname_to_add(bind_server: DnsServer) -> None:
    (found,) = await look(bind_server, "www.elsewhere.test")
    assert found.ok is False
    assert "goes into zone ., but" in found.detail
    assert "has no zone that _acme-challenge.www.elsewhere.test is in" in found.detail
    assert "_acme-challenge.www.elsewhere.test. CNAME www.elsewhere.test.<zone that the provider may write>." in (
        found.remedy
    )


async def test_http_01_shows_addresses_through_aliases(bind_server: DnsServer) -> None:
    found = await look(bind_server, "ns2.lag.test", "nothing.example.test", challenge="http-01")
    assert [(one.ok, one.detail.partition(":")[0]) for one in found] == [
        (True, "ns2.lag.test"),
        (False, "nothing.example.test"),
    ]
    assert "the CA asks 127.0.0.2, on port 80" in found[0].detail
