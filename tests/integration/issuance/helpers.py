"""What the tests of issuance share: solvers that talk to pebble-challtestsrv, and an issuer with short waits."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Common, IssuerConfig
from acme_manager.domain.keys import KeyType, PrivateKey, make_csr, make_key
from acme_manager.domain.names import parse_identifier
from acme_manager.issuance.issuer import AcmeIssuer, open_issuer
from acme_manager.ports import Challenge, Issued, OrderRequest, PlacedOrder, Solver, Step, Storage, Trace
from acme_manager.storage.memory import MemoryStorage
from tests.parts.challtestsrv import Challtestsrv

ACCOUNT = "certificates/.acme-manager/accounts/ca"  # where storage has it


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 the CA goes by real time


@attrs.frozen
class DnsSolver:
    """dns-01 by TXT records in pebble-challtestsrv. `lying` writes values that no CA accepts."""

    server: Challtestsrv
    lying: bool = False
    type: str = "dns-01"

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        return [
            {
                "host": f"_acme-challenge.{one.identifier.base}",
                "value": "wrong" if self.lying else _digest(one.key_authorization),
            }
            for one in challenges
        ]

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:
        try:
            for trace in traces:
                await self.server.set_txt(trace["host"], trace["value"])
            yield
        finally:
            with trio.move_on_after(5, shield=True):
                await self.remove(traces)

    async def remove(self, traces: Sequence[Trace]) -> None:
        for trace in traces:
            await self.server.clear_txt(trace["host"])


@attrs.frozen
class HttpSolver:
    """http-01 by pebble-challtestsrv's own responder."""

    server: Challtestsrv
    type: str = "http-01"

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        return [{"token": one.token, "content": one.key_authorization} for one in challenges]

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:
        for trace in traces:
            await self.server.add_http01(trace["token"], trace["content"])
        yield

    async def remove(self, traces: Sequence[Trace]) -> None:
        """Tokens are used once; the server has no harm of old ones."""


def _digest(key_authorization: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(key_authorization.encode()).digest()).rstrip(b"=").decode()


@attrs.define
class Record:
    """What an order told on its way."""

    placed: list[PlacedOrder] = attrs.field(factory=list)
    steps: list[Step] = attrs.field(factory=list)

    async def on_placed(self, order: PlacedOrder) -> None:
        self.placed.append(order)

    def on_step(self, step: Step) -> None:
        self.steps.append(step)


def make_request(
    *names: str,
    key_type: KeyType = KeyType.EC256,
    key: PrivateKey | None = None,
    days: int = 0,
    profile: str = "",
    replaces: str = "",
) -> OrderRequest:
    identifiers = tuple(parse_identifier(name) for name in names)
    csr = make_csr(key or make_key(key_type), identifiers)
    return OrderRequest(identifiers=identifiers, csr=csr, days=days, profile=profile, replaces=replaces)


def make_foreign_leaf() -> str:
    """A certificate that none of the CAs has issued, with the name of its issuer's key in it."""
    key, now, name = ec.generate_private_key(ec.SECP256R1()), SystemClock().now(), x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    leaf = (
        builder.not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(issuer_key, critical=False)
        .sign(key, hashes.SHA256())
    )
    return leaf.public_bytes(Encoding.PEM).decode()


async def issue(
    issuer: AcmeIssuer,
    request: OrderRequest,
    solver: Solver,
    *,
    record: Record | None = None,
    resume: PlacedOrder | None = None,
) -> Issued:
    kept = Record() if record is None else record
    with trio.fail_after(60):
        return await issuer.issue(request, solver, placed=kept.on_placed, step=kept.on_step, resume=resume)


def opened(
    directory: str,
    folder: Path | None,
    *,
    ca: Path | None = None,
    registry: CollectorRegistry | None = None,
    storage: Storage | None = None,
    **config: object,
) -> AbstractAsyncContextManager[AcmeIssuer]:
    """An issuer with account files in `folder`, if there is one. Issuers with the same `storage` share an account."""
    settings = {"contact": "ops@example.org", "overall_request_limit": 1000, "ca_bundle": ca} | config
    common = Common(
        rootpath_account=folder / "accounts" if folder else None,
        http_client_retry_wait_min=0.05,
        http_client_retry_wait_max=0.5,
    )
    return open_issuer(
        IssuerConfig(name="ca", ca_dir_url=directory, **settings),  # type: ignore[arg-type]
        common,
        {},
        registry or CollectorRegistry(),
        SystemClock(),
        storage or MemoryStorage(SystemClock()),
        ACCOUNT,
    )
