"""An issuer before a fake CA, and a solver that only remembers. For tests in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path

import attrs
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Common, IssuerConfig
from acme_manager.domain.keys import KeyType, PrivateKey, make_csr, make_key
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import DnsFailed
from acme_manager.issuance.issuer import AcmeIssuer, open_issuer
from acme_manager.ports import Challenge, Issued, OrderRequest, PlacedOrder, Step, Storage, Trace
from acme_manager.storage.memory import MemoryStorage
from tests.unit.issuance.fake_ca import BASE, NOW, FakeCa

ACCOUNT = "certificates/.acme-manager/accounts/ca"  # where storage has it


class FixedClock:
    def now(self) -> datetime:
        return NOW


@attrs.define
class MemorySolver:
    """Keeps what is visible in a list. The switches make one of its methods fail."""

    type: str = "dns-01"
    fails_to_plan: bool = False
    fails_to_present: bool = False
    fails_to_remove: bool = False
    visible: list[Trace] = attrs.field(factory=list)
    seen: list[str] = attrs.field(factory=list)

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        if self.fails_to_plan:
            raise DnsFailed("no zone")
        self.seen += [one.key_authorization for one in challenges]
        return [{"name": one.identifier.base, "value": one.key_authorization} for one in challenges]

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:
        if self.fails_to_present:
            raise DnsFailed("server refuses")
        self.visible += traces
        try:
            yield
        finally:
            self._drop(traces)

    async def remove(self, traces: Sequence[Trace]) -> None:
        if self.fails_to_remove:
            raise DnsFailed("server is away")
        self._drop(traces)

    def _drop(self, traces: Sequence[Trace]) -> None:
        self.visible = [one for one in self.visible if one not in traces]


def opened(
    ca: FakeCa,
    folder: Path | None = None,
    *,
    registry: CollectorRegistry | None = None,
    common: Common | None = None,
    storage: Storage | None = None,
    **settings: object,
) -> AbstractAsyncContextManager[AcmeIssuer]:
    config = {"name": "ca", "ca_dir_url": f"{BASE}/dir", "overall_request_limit": 1000} | settings
    return open_issuer(
        IssuerConfig(**config),  # type: ignore[arg-type]
        common or Common(rootpath_account=folder),
        {},
        registry or CollectorRegistry(),
        FixedClock(),
        storage or MemoryStorage(FixedClock()),
        ACCOUNT,
        wire=ca,
    )


def make_request(
    *names: str, key: PrivateKey | None = None, days: int = 0, profile: str = "", replaces: str = ""
) -> OrderRequest:
    identifiers = tuple(parse_identifier(name) for name in names or ("www.example.org",))
    return OrderRequest(
        identifiers=identifiers,
        csr=make_csr(key or make_key(KeyType.EC256), identifiers),
        days=days,
        profile=profile,
        replaces=replaces,
    )


async def issue(
    issuer: AcmeIssuer,
    request: OrderRequest | None = None,
    solver: MemorySolver | None = None,
    *,
    placed: list[PlacedOrder] | None = None,
    resume: PlacedOrder | None = None,
) -> Issued:
    kept = [] if placed is None else placed

    async def keep(order: PlacedOrder) -> None:
        kept.append(order)

    def ignore(_step: Step) -> None:
        pass

    return await issuer.issue(
        request or make_request(), solver or MemorySolver(), placed=keep, step=ignore, resume=resume
    )
