"""The API on a whole node in memory, called in process or over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
from prometheus_client import CollectorRegistry
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient

from acme_manager.api.app import ApiSettings
from acme_manager.api.forward import Waits, open_forwarder
from acme_manager.config.model import Flags
from acme_manager.dns.descriptions import Descriptions
from acme_manager.domain.token import Scope, Token, bearer_value, hash_secret
from acme_manager.oidc.provider import OpenIdProviders
from acme_manager.services.bundle import Services
from acme_manager.services.catalogue import Catalogue
from acme_manager.services.changes import Changes
from acme_manager.services.fetches import Fetches
from acme_manager.services.health import Health
from acme_manager.services.inventory import Inventory
from acme_manager.services.latest_attempts import LatestAttempts
from acme_manager.services.node_watch import NodeWatch
from acme_manager.services.plans import Plans
from acme_manager.services.plugins import Plugins
from acme_manager.services.reports import Reports
from acme_manager.services.request_choices import RequestChoices
from acme_manager.services.sessions import Sessions
from acme_manager.services.signals import Signals
from acme_manager.web.site import build_site
from tests.unit.services.cleaning import cleanup_of
from tests.unit.services.world import FixedClock, World, open_world, passes, preflight

ADMIN = {"X-API-Key": "admin"}


@attrs.frozen(kw_only=True)
class Api:
    world: World
    services: Services
    app: QuartTrio

    @property
    def client(self) -> TrioClient:
        return cast("TrioClient", self.app.test_client())

    def token(self, *scopes: Scope, username: str = "alice", **facts: Any) -> dict[str, str]:
        """Headers of a caller whose token has these scopes, or all of them."""
        id = f"t-{username}-{'-'.join(scopes)}".replace(":", "")
        token = Token(id=id, token_hash=hash_secret("s"), username=username, scope=scopes or tuple(Scope), **facts)
        self.world.state.tokens.put(id, token)
        return {"Authorization": f"Bearer {bearer_value(id, 's')}"}

    def served(self, name: str, **labels: str) -> float | None:
        """The value of one metric."""
        return self.services.registry.get_sample_value(name, labels)


@asynccontextmanager
async def open_api(
    settings: ApiSettings | None = None,
    *,
    replaced: Mapping[str, Any] | None = None,
    flags: Flags | None = None,
    waits: Waits | None = None,
    **world: Any,
) -> AsyncIterator[Api]:
    """`replaced` puts other services in the place of the real ones; `flags` say how other nodes are called."""
    async with open_world(**world) as opened:
        plans = Plans(opened.state, opened.issuing.settings, FixedClock())
        changes, reports = Changes(opened.state, FixedClock()), Reports(opened.cluster, FixedClock())
        runner, settings_now = opened.issuing.hooks.runner, opened.issuing.settings
        signals = Signals(opened.state, opened.cluster, opened.cluster, opened.findings)
        services = Services(
            **{
                "cluster": opened.cluster,
                "certificates": opened.certificates,
                "plans": plans,
                "tokens": opened.tokens,
                "sessions": Sessions(
                    storage=opened.storage,
                    shared=opened.cluster,
                    state=opened.state,
                    tokens=opened.tokens,
                    settings=settings_now,
                    clock=world.get("clock") or FixedClock(),
                ),
                "oidc": OpenIdProviders(FixedClock()),
                "signals": signals,
                "settings": settings_now,
                "cleanup": cleanup_of(opened, FixedClock()),
                "operations": opened.operations,
                "challenges": opened.challenges,
                "health": Health({"storage": opened.state.health}),
                "preflight": (ahead := preflight(opened)),
                "request_choices": RequestChoices(
                    state=opened.state,
                    settings=settings_now,
                    issuers=opened.issuing.issuers,
                    findings=opened.findings,
                    budgets=opened.budgets,
                    dns=ahead.dns,
                ),
                "plugins": Plugins(settings=opened.issuing.settings, runner=runner, descriptions=Descriptions(runner)),
                "issuers": opened.issuing.issuers,
                "budgets": opened.budgets,
                "issuer_findings": opened.findings,
                "progress": opened.progress,
                "attempts": opened.issuing.attempts,
                "audit": opened.audit,
                "changes": changes,
                "reports": reports,
                "passes": passes(opened.cluster),
                "node_watch": NodeWatch(opened.cluster, opened.cluster, settings_now),
                "fetches": Fetches(opened.cluster, opened.cluster, opened.state, FixedClock()),
                "counters": opened.counters,
                "inventory": Inventory(opened.state, opened.counters, plans, reports, FixedClock()),
                "catalogue": Catalogue(
                    state=opened.state,
                    plans=plans,
                    attempts=LatestAttempts(opened.cluster),
                    reports=reports,
                    settings=settings_now,
                    clock=FixedClock(),
                ),
                "rate_limits": opened.rate_limits,
                "resync": opened.reconciler.round,
                "clock": world.get("clock") or FixedClock(),
                "registry": CollectorRegistry(),
                "instance_id": "node-1",
                **(replaced or {}),
            }
        )
        async with open_forwarder(services.cluster, flags or Flags(), lambda: waits or Waits()) as forwarder:
            app = build_site(services, settings or ApiSettings(), forwarder)
            with changes.following(), reports.following(), signals.following(), services.catalogue.following():
                yield Api(world=opened, services=services, app=app)
