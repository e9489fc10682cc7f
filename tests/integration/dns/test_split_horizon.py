"""A zone that looks different from inside than from outside, on two real name servers."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from prometheus_client import CollectorRegistry

from acme_manager.config.dns import DnsZone
from acme_manager.config.model import DnsConfig
from acme_manager.dns.answers import Sight
from acme_manager.dns.challenge import Record
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.solver import DnsSolvers
from acme_manager.dns.wire import Server
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import DnsFailed
from acme_manager.ports import Challenge
from tests.integration.dns.servers import environ
from tests.parts.bind import bind

NAME = "_acme-challenge.www.corp.test"
WWW = Challenge(parse_identifier("www.corp.test"), "dns-01", "token", "token.thumbprint")


@attrs.define
class Notes:
    records: list[Record] = attrs.field(factory=list)
    sights: dict[Server, list[Sight]] = attrs.field(factory=dict)

    def written(self, record: Record) -> None:
        self.records.append(record)

    def seen(self, name: str, server: Server, sight: Sight) -> None:
        assert name == NAME
        self.sights.setdefault(server, []).append(sight)


async def test_each_zone_has_servers_of_its_own_to_be_asked(tmp_path: Path) -> None:
    """From outside, the zone has another server, a CNAME of its own, and never the record."""
    records = {"corp.test": ("_acme-challenge.www CNAME elsewhere.corp.test.",)}
    async with (
        bind(tmp_path, {"corp.test": ""}, records=records) as outside,
        bind(tmp_path, {"corp.test": "zonesub TXT"}) as inside,
    ):
        world = DnsConfig(resolvers=(outside.at,), timeout=2.0, authoritative_port=outside.port)
        variables = {**environ(inside), "RFC2136_PROPAGATION_TIMEOUT": "0.5"}

        def solvers(zone: DnsZone | None) -> DnsSolvers:
            config = attrs.evolve(
                world, zones={"corp.test": zone, "test": DnsZone(name="test", wait=1)} if zone else {}
            )
            return DnsSolvers(config, variables, DnsMetrics(CollectorRegistry()))

        solver = solvers(None).solver("rfc2136")
        (trace,) = await solver.plan([WWW])
        assert trace["name"] == "elsewhere.corp.test"
        with pytest.raises(
            DnsFailed, match=rf"not visible after 0\.5 s: ns\.corp\.test \(127\.0\.0\.1:{outside.port}\)"
        ):
            async with solver.presented([trace]):
                pytest.fail("the world can't see it")

        for zone, recurse in (
            (DnsZone(name="corp.test", servers=(inside.at,), timeout=5.0), False),
            (DnsZone(name="corp.test", check="resolvers", resolvers=(inside.at,)), True),
        ):
            shared, notes = solvers(zone), Notes()
            assert await shared.lookup.zone_of(NAME) == "corp.test"
            solver = shared.solver("rfc2136")
            solver.observer = notes
            planned = await solver.plan([WWW])
            assert planned[0]["name"] == NAME
            async with solver.presented(planned):
                assert await inside.txt(NAME) == {planned[0]["value"]}
            assert list(notes.sights) == [Server(*inside.at)], recurse
            assert notes.sights[Server(*inside.at)][-1].complete
            assert [one.name for one in notes.records] == [NAME]
            assert await inside.txt(NAME) == set()

        unchecked = solvers(DnsZone(name="corp.test", check="none", resolvers=(inside.at,))).solver("rfc2136")
        unchecked.observer = notes = Notes()
        async with unchecked.presented(await unchecked.plan([WWW])):
            assert notes.sights == {}
