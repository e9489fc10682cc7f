"""The page of DNS providers as it should be, whichever extras are installed here."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from acme_manager.clock import SystemClock
from acme_manager.dns.acmesh import AcmeShSource
from acme_manager.dns.catalogue import markdown
from acme_manager.dns.libraries import LegoSource, LexiconSource
from acme_manager.dns.providers import BuiltIn
from acme_manager.dns.registry import Registry
from acme_manager.dns.shipped import ShippedSource
from acme_manager.plugins import PluginMetrics, PluginRunner


def dns_providers() -> str:
    runner = PluginRunner(PluginMetrics(CollectorRegistry()), SystemClock())
    libraries = (LegoSource(runner, installed=True), LexiconSource(runner, installed=True))
    return markdown(Registry((BuiltIn(), ShippedSource(runner), AcmeShSource(runner), *libraries)).providers())
