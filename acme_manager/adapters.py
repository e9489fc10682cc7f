"""How a node's adapters are made of its configuration: DNS, its part of the ring, the CAs."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import ip_address

import attrs
from prometheus_client import CollectorRegistry

from acme_manager.api.server import parse_address
from acme_manager.clock import SystemClock
from acme_manager.config.model import Config, Flags, IssuerConfig
from acme_manager.config.sources import Sources
from acme_manager.dns.descriptions import Descriptions
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.registry import Registry, sources_of
from acme_manager.dns.solver import DnsSolvers
from acme_manager.errors import Complaint, ConfigInvalid
from acme_manager.issuance.issuer import open_issuer
from acme_manager.issuance.metrics import IssuanceMetrics
from acme_manager.metrics import new_registry
from acme_manager.plugins import PluginMetrics, PluginRunner
from acme_manager.ports import Clock, Issuer, Solver
from acme_manager.ring.cluster import Ring, open_ring
from acme_manager.ring.fencing import StoredFence
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.settings import RingSettings
from acme_manager.ring.transport import UdpTcpTransport
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.dns_methods import DnsMethods
from acme_manager.services.issuer_findings import IssuerFindings
from acme_manager.services.issuer_keeper import IssuerKeeper
from acme_manager.services.issuers import Issuers
from acme_manager.services.responders import Responders
from acme_manager.services.settings import Settings
from acme_manager.services.tls_challenges import TlsChallenges
from acme_manager.storage import keys
from acme_manager.storage.vault import VaultStorage
from acme_manager.structure import Bell, background


@attrs.frozen(kw_only=True)
class Ground:
    """What is there before anything is opened."""

    flags: Flags
    sources: Sources  # where the configuration is read from again
    settings: Settings
    registry: CollectorRegistry
    clock: Clock
    plugins: PluginRunner
    descriptions: Descriptions
    solvers: DnsSolvers  # everything about DNS, which orders and looks ahead share
    findings: IssuerFindings
    hangup: Bell  # look at the configuration now
    issuers_changed: Bell  # look at the issuers now

    @classmethod
    def of(cls, config: Config, flags: Flags, sources: Sources, hangup: Bell) -> Ground:
        """With a registry of its own."""
        registry, clock = new_registry("server"), SystemClock()
        plugins = PluginRunner(PluginMetrics(registry), clock)
        descriptions = Descriptions(plugins)
        descriptions.go_by(config)
        providers = Registry(sources_of(plugins, descriptions)).at(config)
        return cls(
            flags=flags,
            sources=sources,
            settings=Settings(config),
            registry=registry,
            clock=clock,
            plugins=plugins,
            descriptions=descriptions,
            solvers=DnsSolvers(config.dns, config.environ, DnsMetrics(registry), providers, config.dns_credentials),
            findings=IssuerFindings(clock, registry),
            hangup=hangup,
            issuers_changed=Bell(),
        )


@asynccontextmanager
async def open_node_ring(ground: Ground, storage: VaultStorage) -> AsyncIterator[Ring]:
    """This node's part of the ring. Raises ConfigInvalid when it can't listen there."""
    config = ground.settings.config
    settings = _ring_settings(config, ground.flags)
    try:
        bound = UdpTcpTransport.bind(*settings.place.bind)
    except OSError as error:
        where = "{}:{}".format(*settings.place.bind)
        complaint = Complaint("-ring.instance-addr", f"the ring can't listen on {where} (-ring.instance-port): {error}")
        raise ConfigInvalid("command line", [complaint]) from error
    with bound as transport:
        async with open_ring(
            settings,
            transport=transport,
            fences=StoredFence(storage, keys.fence_key(config.vault.certificate_prefix)),
            clock=ground.clock,
            rng=random.Random(),  # noqa: S311 it spreads load, and hides nothing
            registry=ground.registry,
        ) as ring:
            yield ring


def _ring_settings(config: Config, flags: Flags) -> RingSettings:
    settings = RingSettings.from_flags(flags, api_url="", keyring=keyring(config))
    host, port = parse_address(flags.listen_address)
    if not port:
        return settings  # nobody can know it before it is bound; such a node can only be alone
    host = settings.place.host if host is None or ip_address(host).is_unspecified else host
    scheme = "https" if flags.tls_cert_file else "http"
    return attrs.evolve(settings, api_url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")


def keyring(config: Config) -> Keyring | None:
    """The keys of the ring; None leaves it open."""
    return Keyring.from_base64(*config.common.ring_keys) if config.common.ring_keys else None


@asynccontextmanager
async def open_issuers(ground: Ground, storage: VaultStorage, ring: Ring) -> AsyncIterator[IssuerKeeper]:
    """The CAs of the configuration, as it is now and as it will be. Raises ConfigInvalid."""

    def opened(config: IssuerConfig, whole: Config) -> AbstractAsyncContextManager[Issuer]:
        key = keys.account_key(whole.vault.certificate_prefix, config.name)
        return open_issuer(config, whole.common, whole.environ, ground.registry, ground.clock, storage, key)

    def replaced(name: str) -> None:
        ground.findings.forget(name)
        ground.issuers_changed.ring()

    http, tls = HttpChallenges(ring, ring.leads), TlsChallenges(ring, ring.leads)
    own: dict[str, Solver] = {"kvring": http, "tls-alpn-01": tls}
    methods = DnsMethods(ground.solvers, ground.settings, ground.clock)
    responders = Responders(own=own, settings=ground.settings, clock=ground.clock)
    async with background() as nursery:
        keeper = IssuerKeeper(
            nursery,
            Issuers({}, http_solver=responders.solver, dns_solver=methods.solver),
            opened,
            replaced=replaced,
            closed=IssuanceMetrics.on(ground.registry).forget,
        )
        await keeper.start(ground.settings.config)
        yield keeper
