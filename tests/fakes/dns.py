"""DNS in a dict, behind the questions that Lookup answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dns.rdata
import trio
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rdatatype import to_text as type_text
from prometheus_client import CollectorRegistry

from acme_manager.config.model import DnsConfig
from acme_manager.dns.challenge import enclosing
from acme_manager.dns.lookup import Lookup, Records
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.providers import BuiltIn, Factory
from acme_manager.dns.registry import Registry
from acme_manager.dns.solver import DnsSolvers
from acme_manager.errors import DnsFailed


class MemoryLookup(Lookup):
    """`records` is {"name TYPE": values}; a name in `failing` can't be looked up, one in `silent` is not answered."""

    def __init__(self, records: Mapping[str, Sequence[str]], zones: Sequence[str] = ()) -> None:
        super().__init__(DnsConfig())
        self.records_of, self.zones = dict(records), zones
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.asked: list[str] = []

    async def records(self, name: str, kind: RdataType) -> Records:
        end = await self.follow(name)
        self.asked.append(f"{end} {type_text(kind)}")
        texts = self.records_of.get(f"{end} {type_text(kind)}", ())
        return Records(end, tuple(dns.rdata.from_text(IN, kind, text) for text in texts))

    async def follow(self, name: str) -> str:
        await trio.lowlevel.checkpoint()
        if name in self.silent:
            await trio.sleep_forever()
        if name in self.failing:
            raise DnsFailed(f"{name} can't be looked up")
        alias = self.records_of.get(f"{name} CNAME")
        return await self.follow(alias[0]) if alias else name

    async def zone_of(self, name: str) -> str:
        await trio.lowlevel.checkpoint()
        return next((zone for zone in enclosing(name) if zone in self.zones), "")


def memory_dns(lookup: Lookup, factories: Mapping[str, Factory] | None = None) -> DnsSolvers:
    solvers = DnsSolvers(DnsConfig(), {}, DnsMetrics(CollectorRegistry()), Registry([BuiltIn(factories or {})]))
    solvers.lookup = lookup
    return solvers
