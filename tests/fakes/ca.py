"""A CA in memory behind the Issuer port: signs real certificates, and fails where a real CA can't be made to."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from acme_manager.domain.keys import describe
from acme_manager.domain.names import IdentifierType
from acme_manager.errors import IssuanceFailed
from acme_manager.ports import (
    Challenge,
    Issued,
    IssuerFacts,
    OrderRequest,
    PlacedOrder,
    RenewalInfo,
    Solver,
    Step,
)


class MemoryCa:
    """Issues at once unless held: `before` is awaited ahead of each step, with the step's name."""

    def __init__(self, before: Callable[[str], Awaitable[None]] | None = None) -> None:
        self.placed: list[PlacedOrder] = []
        self.resumed: list[PlacedOrder] = []
        self.revoked: list[tuple[str, int | None]] = []
        self.issued: dict[str, Issued] = {}
        self.windows: dict[str, RenewalInfo] = {}  # by serial
        self.requests: list[OrderRequest] = []
        self.now: Callable[[], datetime] = lambda: datetime(2026, 11, 24, 12, tzinfo=UTC)
        self.lifetime = timedelta(days=90)
        self.backdated = timedelta()  # how long before it is issued a certificate is valid
        self.said = IssuerFacts(renewal_info=True, account="https://ca.test/account/1")
        self._before = before or _nothing
        self._numbers = itertools.count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Memory CA")])

    async def issue(
        self,
        request: OrderRequest,
        solver: Solver,
        *,
        placed: Callable[[PlacedOrder], Awaitable[None]],
        step: Callable[[Step], None],
        resume: PlacedOrder | None = None,
    ) -> Issued:
        self.requests.append(request)
        if resume is not None:
            self.resumed.append(resume)
            order = resume
        else:
            await self._before("order")
            url = f"https://ca.test/order/{next(self._numbers)}"
            challenges = [
                Challenge(one, solver.type, f"token-{url[-1]}-{one.base}", "auth") for one in request.identifiers
            ]
            order = PlacedOrder(url, tuple(await solver.plan(challenges)))
            self.placed.append(order)
        step(Step.ORDERED)
        await placed(order)
        if order.url not in self.issued:
            async with solver.presented(order.traces):
                step(Step.PRESENTED)
                await self._before("validate")
                step(Step.VALIDATED)
            await self._before("finalize")
            self.issued[order.url] = Issued(self._sign(request), order.url.replace("order", "cert"))
        else:
            await solver.remove(order.traces)
        await self._before("download")
        step(Step.ISSUED)
        return self.issued[order.url]

    async def check(self) -> None:
        await self._before("check")

    async def read_account(self) -> None:
        await self._before("read account")

    async def revoke(self, certificate: str, reason: int | None = None, *, private_key: str = "") -> None:
        await self._before("revoke")
        leaf = x509.load_pem_x509_certificate(certificate.encode())
        if private_key and not fits(private_key, leaf):
            raise IssuanceFailed("the private key is not the certificate's")
        self.revoked.append((certificate, reason))

    async def renewal_info(self, certificate: str) -> RenewalInfo | None:
        await self._before("renewal info")
        return self.windows.get(describe(certificate).serial)

    async def facts(self) -> IssuerFacts:
        await self._before("facts")
        return self.said

    def _sign(self, request: OrderRequest) -> str:
        csr = x509.load_der_x509_csr(request.csr)
        start = self.now()
        names = [x509.DNSName(one.value) for one in request.identifiers if one.type is IdentifierType.DNS]
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.name)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start - self.backdated)
            .not_valid_after(start + self.lifetime)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        root = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=900))
            .sign(self._key, hashes.SHA256())
        )
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in (leaf, root))


def fits(private_key: str, leaf: x509.Certificate) -> bool:
    return load_pem_private_key(private_key.encode(), None).public_key() == leaf.public_key()


async def _nothing(_step: str) -> None:
    await trio.lowlevel.checkpoint()
