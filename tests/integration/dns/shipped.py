"""The shipped plugins, set up for servers on this machine."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from acme_manager.dns.shipped import ShippedSource
from acme_manager.plugins import PluginMetrics, PluginRunner
from tests.parts.dns_apis import cloudflare, exec_program, httpreq
from tests.parts.dns_server import DnsServer


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC)


def runner() -> PluginRunner:
    return PluginRunner(PluginMetrics(CollectorRegistry()), Clock())


def shipped_source() -> ShippedSource:
    return ShippedSource(runner())


@asynccontextmanager
async def in_front_of(dns: DnsServer, name: str, folder: Path) -> AsyncIterator[Mapping[str, str]]:
    """What a shipped plugin writes a server's zones through, as the plugin's variables."""
    async with AsyncExitStack() as stack:
        if name == "cloudflare":
            api, at = await stack.enter_async_context(cloudflare(dns))
            api.largest_page = 100
            yield {"CLOUDFLARE_BASE_URL": f"{at.url}/client/v4", "CLOUDFLARE_DNS_API_TOKEN": api.token("zone dns")}
        elif name == "httpreq":
            endpoint, at = await stack.enter_async_context(httpreq(dns))
            yield {
                "HTTPREQ_ENDPOINT": at.url,
                "HTTPREQ_USERNAME": endpoint.user,
                "HTTPREQ_PASSWORD": endpoint.password,
            }
        else:
            yield {"EXEC_PATH": str(write_program(dns, folder))}


def write_program(dns: DnsServer, folder: Path) -> Path:
    """A program for the plugin `exec`."""
    path = folder / "update-dns"
    path.write_text(exec_program(dns, sys.executable))
    path.chmod(0o755)
    return path
