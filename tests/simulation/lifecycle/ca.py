"""A CA in memory that lives through a year: its own rate limits, renewal windows, bad days and slow days."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from random import Random

import attrs
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from acme_manager.domain.keys import fingerprint, split_chain
from acme_manager.domain.names import Identifier
from acme_manager.errors import IssuanceFailed, IssuerUnavailable, Problem
from acme_manager.ports import (
    Challenge,
    Clock,
    Issued,
    IssuerFacts,
    OrderRequest,
    PlacedOrder,
    RenewalInfo,
    Solver,
    Step,
)
from tests.fakes.ca import MemoryCa
from tests.fakes.limits import LetsEncrypt
from tests.simulation.lifecycle.book import Book, Leaf
from tests.simulation.lifecycle.fleet import DAY, HOUR, LIFETIMES

_GIVES_UP = 30.0  # seconds that our client tries to reach a CA that is away
_SLOWNESS = 40  # times, on a slow day: some orders take longer than they may
_SHORT_LIVED = 10 * DAY


@attrs.define(eq=False)
class _Order:
    request: OrderRequest
    placed: PlacedOrder
    chain: str = ""


@attrs.frozen
class Period:
    """A bad time of a CA."""

    start: datetime
    end: datetime

    def covers(self, at: datetime) -> bool:
        """Whether it is then."""
        return self.start <= at < self.end


class SimulatedCa(MemoryCa):
    """Issues what its limits allow, tells `book` of everything, and forgets no order."""

    def __init__(self, name: str, clock: Clock, book: Book, rng: Random, *, ari: bool) -> None:
        super().__init__()
        self.name_of_issuer, self.book, self.limits = name, book, LetsEncrypt()
        self.away: list[Period] = []
        self.slow: list[Period] = []
        self.questions = 0
        self.said = IssuerFacts(renewal_info=ari, profiles=dict.fromkeys(LIFETIMES, ""), account=f"https://{name}/1")
        self.now = clock.now
        self._rng, self._orders = rng, dict[str, _Order]()
        # Ed25519 signatures are a function of the key and the text, so that a seed gives the same year again.
        self._signer = ed25519.Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        self._root = self._certify(
            x509.CertificateBuilder().subject_name(self.name), self._signer.public_key(), 900 * DAY
        )

    async def issue(
        self,
        request: OrderRequest,
        solver: Solver,
        *,
        placed: Callable[[PlacedOrder], Awaitable[None]],
        step: Callable[[Step], None],
        resume: PlacedOrder | None = None,
    ) -> Issued:
        """See ports.Issuer."""
        order = self._orders.get(resume.url) if resume else None
        if order is None:
            if resume is not None:
                await solver.remove(resume.traces)
            order = await self._place(request, solver)
        step(Step.ORDERED)
        await placed(order.placed)
        if order.chain:
            await solver.remove(order.placed.traces)
        else:
            async with solver.presented(order.placed.traces):
                step(Step.PRESENTED)
                await self._work(2, 15)
                self._validate(order)
                step(Step.VALIDATED)
            await self._work(0.1, 1)
            self._sign_order(order)
        await self._work(1, 4)
        leaf = self.book.leaf(fingerprint(split_chain(order.chain)[0]))
        assert leaf is not None
        self.book.fetched(leaf, self.now())
        step(Step.ISSUED)
        return Issued(order.chain, order.placed.url.replace("order", "cert"))

    async def revoke(self, certificate: str, reason: int | None = None, *, private_key: str = "") -> None:
        """Nobody revokes anything in this year but CAs."""
        raise AssertionError("a renewal has revoked a certificate")

    async def renewal_info(self, certificate: str) -> RenewalInfo | None:
        """Let's Encrypt's windows: a hundredth of the life around its last third, its last half where it is short."""
        self.questions += 1
        self._be_there()
        await trio.lowlevel.checkpoint()
        leaf = self.book.leaf(fingerprint(certificate))
        assert leaf is not None, "asked about a certificate that nobody has issued"
        pause = 6 * HOUR if leaf.lifetime < _SHORT_LIVED else DAY
        start, end = leaf.window
        return RenewalInfo(start=start, end=end, ask_again=pause.total_seconds())

    async def _place(self, request: OrderRequest, solver: Solver) -> _Order:
        names = _names(request.identifiers)
        self.book.attempt(names, self.now())
        await self._work(0.5, 2)
        replaced = self.book.leaf(fingerprint(request.replaces)) if request.replaces else None
        if replaced is not None and replaced.names != names:
            raise AssertionError("an order says that it replaces a certificate for other names")
        # A CA without ARI gets orders without that, and one that has replaced it already says so: the client obeys.
        replaces = self.said.renewal_info and replaced is not None and not replaced.replaced
        self.limits.new_order(names, self.now(), replaces=replaces)
        url = f"https://{self.name_of_issuer}/order/{self.limits.orders}"
        challenges = [Challenge(one, solver.type, f"{url[8:]}-{one.base}", "proof") for one in request.identifiers]
        order = _Order(request, PlacedOrder(url, tuple(await solver.plan(challenges))))
        self._orders[url] = order
        self.book.ordered(names)
        return order

    def _validate(self, order: _Order) -> None:
        names, at = _names(order.request.identifiers), self.now()
        trouble = self.book.member(names).trouble(at)
        if trouble is None:
            return
        del self._orders[order.placed.url]
        name = min(names)
        self.limits.failed(name, at)
        self.book.refused(names)
        problem = Problem(f"urn:ietf:params:acme:error:{trouble.code}", "not there", 400, name)
        raise IssuanceFailed(f"{trouble.code}: {name} could not be validated", problem)

    def _sign_order(self, order: _Order) -> None:
        lifetime, at = LIFETIMES[order.request.profile], self.now().replace(microsecond=0)
        order.chain = self._sign(order.request)
        names = _names(order.request.identifiers)
        self.limits.issued(names, self.now())
        margin, ideal = lifetime / 100, at + lifetime * (1 / 2 if lifetime < _SHORT_LIVED else 2 / 3)
        leaf = Leaf(
            issuer=self.name_of_issuer,
            names=names,
            start=at,
            end=at + lifetime,
            ari=(ideal - margin, ideal + margin) if self.said.renewal_info else None,
        )
        self.book.made(fingerprint(split_chain(order.chain)[0]), leaf)

    def _sign(self, request: OrderRequest) -> str:
        csr = x509.load_der_x509_csr(request.csr)
        names = [x509.DNSName(one.value) for one in request.identifiers]
        builder = x509.CertificateBuilder().subject_name(x509.Name([]))
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return self._certify(builder, csr.public_key(), LIFETIMES[request.profile]) + self._root  # type: ignore[arg-type]

    def _certify(self, builder: x509.CertificateBuilder, key: ed25519.Ed25519PublicKey, lifetime: timedelta) -> str:
        start = self.now().replace(microsecond=0)
        builder = builder.issuer_name(self.name).public_key(key).serial_number(self._rng.getrandbits(64) + 1)
        builder = builder.not_valid_before(start).not_valid_after(start + lifetime)
        return builder.sign(self._signer, None).public_bytes(Encoding.PEM).decode()

    async def _work(self, least: float, most: float) -> None:
        """Take some seconds; on a bad day, for nothing."""
        factor = _SLOWNESS if any(one.covers(self.now()) for one in self.slow) else 1
        await trio.sleep(self._rng.uniform(least, most) * factor)
        if any(one.covers(self.now()) for one in self.away):
            await trio.sleep(_GIVES_UP)
            self._be_there()

    def _be_there(self) -> None:
        if any(one.covers(self.now()) for one in self.away):
            raise IssuerUnavailable(f"{self.name_of_issuer} is away")


def _names(identifiers: Sequence[Identifier]) -> frozenset[str]:
    return frozenset(one.value for one in identifiers)
