"""What every adapter of ports.DnsProvider keeps to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import attrs
import pytest

from acme_manager.dns.rfc2136 import Rfc2136, read_settings
from acme_manager.ports import DnsProvider
from acme_manager.structure import together
from tests.integration.dns.servers import environ
from tests.parts.bind import bind
from tests.parts.knot import knot
from tests.unit.dns.fakes import MemoryProvider

NAME = "_acme-challenge.www.example.test"


@attrs.frozen
class Zone:
    """A provider, and a look at what it wrote."""

    provider: DnsProvider
    values: Callable[[str], Awaitable[set[str]]]


@pytest.fixture(params=["memory", "rfc2136 on BIND", "rfc2136 on Knot"])
async def zone(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Zone]:
    if request.param == "memory":
        memory = MemoryProvider()

        async def values(name: str) -> set[str]:
            return {value for its_name, value in memory.records if its_name == name}

        yield Zone(memory, values)
        return
    on_bind = request.param.endswith("BIND")
    async with bind(tmp_path, {"example.test": "zonesub TXT"}) if on_bind else knot(tmp_path, ["example.test"]) as dns:
        yield Zone(Rfc2136(read_settings(environ(dns))), dns.txt)


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
    values = [f"value-{number}" for number in range(30)]
    await together(lambda value: zone.provider.put_txt(NAME, value), values)
    assert await zone.values(NAME) == set(values)
    await together(lambda value: zone.provider.remove_txt(NAME, value), values[1:])
    assert await zone.values(NAME) == {"value-0"}
