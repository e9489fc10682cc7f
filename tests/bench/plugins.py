"""What one record costs, written and removed, by each family of DNS providers: in process, and as processes."""

from __future__ import annotations

import base64
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from acme_manager.config.model import Common, Config, DnsConfig, Plugin, VaultConfig
from acme_manager.dns.challenge import Record
from acme_manager.dns.descriptions import Descriptions
from acme_manager.dns.libraries import LegoSource
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.plugin import PluginProvider, PluginSource
from acme_manager.dns.providers import BuiltIn, PatientProvider, Source
from acme_manager.dns.shipped import ShippedSource
from tests.bench import machine
from tests.bench.figures import say, table
from tests.fakes.plugins import plugin, plugin_runner
from tests.integration.dns.servers import environ
from tests.integration.dns.shipped import in_front_of
from tests.parts.bind import bind
from tests.parts.dns_server import DnsServer

_ONE_BY_ONE, _SIDE_BY_SIDE = 20, 50
_ZONE = "example.test"


async def bench_plugins(rounds: int) -> None:
    """Print wall and CPU time of present and cleanup together. Zones are BIND's, behind what each family speaks."""
    say(f"one record written and removed: {rounds} rounds of {_ONE_BY_ONE} one by one and {_SIDE_BY_SIDE} side by side")
    rows = [("", "ms each", "CPU ms each", f"{_SIDE_BY_SIDE} side by side, s", "CPU s")]
    with tempfile.TemporaryDirectory() as folder:
        async with _families(Path(folder)) as families:
            for name, provider in families.items():
                rows.append((name, *await _measure(provider, rounds)))
    say(table(rows))


async def _measure(provider: PatientProvider, rounds: int) -> tuple[str, str, str, str]:
    await _change(provider, 0)
    single, crowd = [], []
    for _ in range(rounds):
        with machine.measured({}) as cost:
            for number in range(_ONE_BY_ONE):
                await _change(provider, number)
        single.append((1000 * cost.wall / _ONE_BY_ONE, 1000 * (cost.own + cost.children) / _ONE_BY_ONE))
        with machine.measured({}) as cost:
            async with trio.open_nursery() as nursery:
                for number in range(_SIDE_BY_SIDE):
                    nursery.start_soon(_change, provider, number)
        crowd.append((cost.wall, cost.own + cost.children))
    return (
        f"{statistics.median(wall for wall, _ in single):.1f}",
        f"{statistics.median(cpu for _, cpu in single):.1f}",
        f"{statistics.median(wall for wall, _ in crowd):.2f}",
        f"{statistics.median(cpu for _, cpu in crowd):.2f}",
    )


async def _change(provider: PatientProvider, number: int) -> None:
    domain, key = f"h{number}.{_ZONE}", f"token-{number}-{time.monotonic_ns()}.thumbprint"
    value = base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()).decode().rstrip("=")
    name = f"_acme-challenge.{domain}"
    if isinstance(provider, PluginProvider):
        provider = provider.knowing(Record("bench", name, value, domain=domain, key_authorization=key))
    await provider.put_txt(name, value)
    await provider.remove_txt(name, value)


@asynccontextmanager
async def _families(folder: Path) -> AsyncIterator[Mapping[str, PatientProvider]]:
    runner = plugin_runner()
    idle = [plugin(folder, "", "sh"), plugin(folder, "import json", "python", first=f"#!{sys.executable} -I")]
    own = PluginSource(runner, Descriptions(runner)).at(_config(*idle))
    shipped, lego = ShippedSource(runner), LegoSource(runner)
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(bind(folder, {_ZONE: "zonesub ANY"}))
        lookup = Lookup(DnsConfig(resolvers=(dns.at,), timeout=5.0, authoritative_port=dns.port))
        found: dict[str, PatientProvider] = {}

        def add(family: str, source: Source, name: str, variables: Mapping[str, str]) -> None:
            provider = source.provider(name, variables, lookup)
            if provider is not None:  # an extra that is not installed
                found[family] = provider

        add("rfc2136, in process", BuiltIn(), "rfc2136", environ(dns))
        add("plugin in sh that does nothing", own, "sh", {})
        add("plugin in Python that does nothing", own, "python", {})
        for name in ("cloudflare", "httpreq", "exec"):
            add(f"{name}, shipped", shipped, name, await _variables(stack, dns, name, folder))
        add("rfc2136 by lego", lego, "rfc2136", environ(dns))
        yield found


async def _variables(stack: AsyncExitStack, dns: DnsServer, name: str, folder: Path) -> Mapping[str, str]:
    return await stack.enter_async_context(in_front_of(dns, name, folder))


def _config(*plugins: Plugin) -> Config:
    vault = VaultConfig(url="http://127.0.0.1", role_id="", secret_id="", secret_engine="s", certificate_prefix="c")
    return Config(common=Common(plugins=plugins), issuers={}, vault=vault)
