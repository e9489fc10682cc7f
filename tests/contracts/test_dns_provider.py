"""What every adapter of ports.DnsProvider keeps to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import pytest

from acme_manager.config.model import DnsConfig
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.rfc2136 import Rfc2136, read_settings
from acme_manager.ports import DnsProvider
from acme_manager.structure import together
from tests.integration.dns.servers import environ
from tests.integration.dns.shipped import in_front_of, shipped_source
from tests.parts.bind import bind
from tests.parts.knot import knot
from tests.parts.powerdns import powerdns
from tests.parts.program import Address
from tests.unit.dns.fakes import MemoryProvider

ZONE = "example.test"
NAME = "_acme-challenge.www.example.test"


@attrs.frozen
class Zone:
    """A provider, and a look at what it wrote."""

    provider: DnsProvider
    values: Callable[[str], Awaitable[set[str]]]
    many: int = 30  # changes at once


@pytest.fixture(params=["memory", "rfc2136 on BIND", "rfc2136 on Knot", "pdns", "cloudflare", "httpreq", "exec"])
async def zone(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Zone]:
    async with AsyncExitStack() as stack:
        enter, which = stack.enter_async_context, request.param
        if which == "memory":
            memory = MemoryProvider()

            async def values(name: str) -> set[str]:
                return {value for its_name, value in memory.records if its_name == name}

            yield Zone(memory, values)
        elif which == "pdns":
            power = await enter(powerdns(tmp_path, [ZONE]))
            yield Zone(_shipped("pdns", {"PDNS_API_URL": power.url, "PDNS_API_KEY": power.key}, power.at), power.txt, 8)
        elif which == "rfc2136 on Knot":
            dns = await enter(knot(tmp_path, [ZONE]))
            yield Zone(Rfc2136(read_settings(environ(dns))), dns.txt)
        else:
            dns = await enter(bind(tmp_path, {ZONE: "zonesub TXT"}))
            if which == "rfc2136 on BIND":
                yield Zone(Rfc2136(read_settings(environ(dns))), dns.txt)
            else:
                variables = await enter(in_front_of(dns, which, tmp_path))
                yield Zone(_shipped(which, variables, dns.at), dns.txt, 8)


def _shipped(name: str, variables: Mapping[str, str], at: Address) -> DnsProvider:
    lookup = Lookup(DnsConfig(resolvers=(at,), authoritative_port=at[1]))
    provider = shipped_source().provider(name, variables, lookup)
    assert provider is not None
    return provider


async def test_a_value_is_there_once_it_was_put_and_gone_once_it_was_removed(zone: Zone) -> None:
    await zone.provider.put_txt(NAME, "one")
    assert await zone.values(NAME) == {"one"}
    await zone.provider.remove_txt(NAME, "one")
    assert await zone.values(NAME) == set()


async def test_both_methods_may_be_repeated(zone: Zone) -> None:
    for _ in range(2):
        await zone.provider.put_txt(NAME, "one")
    assert await zone.values(NAME) == {"one"}
    for _ in range(2):
        await zone.provider.remove_txt(NAME, "one")
    assert await zone.values(NAME) == set()


async def test_other_values_of_the_name_stay(zone: Zone) -> None:
    await zone.provider.put_txt(NAME, "theirs")
    await zone.provider.put_txt(NAME, "ours")
    assert await zone.values(NAME) == {"theirs", "ours"}
    await zone.provider.remove_txt(NAME, "ours")
    assert await zone.values(NAME) == {"theirs"}


async def test_many_at_once_do_not_hinder_each_other(zone: Zone) -> None:
    values = [f"value-{number}" for number in range(zone.many)]
    await together(lambda value: zone.provider.put_txt(NAME, value), values)
    assert await zone.values(NAME) == set(values)
    await together(lambda value: zone.provider.remove_txt(NAME, value), values[1:])
    assert await zone.values(NAME) == {"value-0"}
