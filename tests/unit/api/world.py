"""The API on a whole node in memory, called in process or over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient

from acme_manager.api.app import ApiSettings
from acme_manager.api.forward import Waits, open_forwarder
from acme_manager.config.model import Flags
from acme_manager.domain.token import Scope, Token, bearer_value, hash_secret
from acme_manager.services.bundle import Services
from acme_manager.web.site import build_site
from tests.unit.services.world import World, open_world

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
        services = attrs.evolve(opened.services, **{"instance_id": "node-1", **(replaced or {})})
        async with open_forwarder(services.cluster, flags or Flags(), lambda: waits or Waits()) as forwarder:
            app = build_site(services, settings or ApiSettings(), forwarder)
            with (
                services.changes.following(),
                services.reports.following(),
                services.signals.following(),
                services.catalogue.following(),
            ):
                yield Api(world=opened, services=services, app=app)
