"""One order's course, from its placement to its certificate: order.py decides what to do next, here it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import attrs
import structlog
import trio
from cryptography import x509

from acme_manager.config.model import IssuerConfig
from acme_manager.domain.names import Identifier, IdentifierType
from acme_manager.errors import (
    AcmeManagerError,
    ChallengeFailed,
    IssuanceFailed,
    IssuerRateLimited,
    IssuerUnavailable,
    Problem,
)
from acme_manager.issuance.ari import certificate_id
from acme_manager.issuance.chain import mismatch, root_name
from acme_manager.issuance.order import (
    Answer,
    Download,
    Finalize,
    GiveUp,
    Next,
    Order,
    Status,
    WaitUntil,
    next_step,
    seen,
)
from acme_manager.issuance.orders import Orders
from acme_manager.issuance.problems import in_words
from acme_manager.issuance.retry import fits
from acme_manager.issuance.wire import Authorization, Offer
from acme_manager.ports import Challenge, Clock, Issued, OrderRequest, PlacedOrder, Solver, Step, Trace
from acme_manager.structure import together

_log = structlog.get_logger(__name__)

_CLEAN_UP = 10.0  # seconds
_WITHOUT_TOKEN = "dns-persist-01"  # noqa: S105 a type of challenges
_REASONS = 5.0  # seconds to find out, at the CA, why an order failed


# How CAs refuse `replaces`: it has been replaced, they don't know it (RFC 9773 section 5), it is another account's.
_PERHAPS_REPLACES = frozenset({"alreadyReplaced", "conflict", "malformed", "unauthorized"})


class _Unusable(IssuanceFailed):
    """This order leads nowhere, but a new one may."""


@attrs.frozen(kw_only=True)
class Course:
    """Raises IssuanceFailed, IssuerRateLimited, IssuerUnavailable and ChallengeFailed."""

    config: IssuerConfig
    orders: Orders
    request: OrderRequest
    solver: Solver
    clock: Clock
    placed: Callable[[PlacedOrder], Awaitable[None]]
    step: Callable[[Step], None]

    async def run(self, resume: PlacedOrder | None) -> Issued:
        """See an order through: the one that an earlier process placed, if it is of use still, else a new one."""
        if resume is None:
            return await self._see_through(await self._place(), ())
        try:
            return await self._take_up(resume)
        finally:
            with trio.move_on_after(_CLEAN_UP, shield=True) as scope:
                await self._remove(resume.traces)
            if scope.cancelled_caught:
                _log.warning("challenge of an earlier process not removed in time", issuer=self.config.name)

    async def _take_up(self, resume: PlacedOrder) -> Issued:
        names = frozenset((one.type.value, one.value) for one in self.request.identifiers)
        order = await self.orders.find(resume.url, names)
        if order is not None and not isinstance(next_step(order, 0), GiveUp):
            try:
                return await self._see_through(order, resume.traces)
            except _Unusable as error:
                _log.info("order replaced", issuer=self.config.name, order=resume.url, reason=str(error))
        return await self._see_through(await self._place(), resume.traces)

    async def _place(self) -> Order:
        wanted: dict[str, Any] = {
            "identifiers": [{"type": one.type.value, "value": one.value} for one in self.request.identifiers]
        }
        if self.request.profile:
            await self._check_profile(self.request.profile)
            wanted["profile"] = self.request.profile
        if self.request.days:
            end = self.clock.now() + timedelta(days=self.request.days)
            wanted["notAfter"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
        replaced = await self._replaced()
        if replaced:
            try:
                return await self.orders.place({**wanted, "replaces": replaced})
            except IssuanceFailed as error:
                if error.problem is None or error.problem.code not in _PERHAPS_REPLACES:
                    raise
                # Where the refusal has another reason, the order without it is refused for that again.
                _log.info("order placed anew without replaces", issuer=self.config.name, reason=str(error))
        return await self.orders.place(wanted)

    async def _replaced(self) -> str:
        """What the CA calls the certificate that the new one replaces (RFC 9773 section 5), if it knows of such."""
        if not self.request.replaces or not await self.orders.client.find_url("renewalInfo"):
            return ""
        try:
            return certificate_id(x509.load_pem_x509_certificate(self.request.replaces.encode()))
        except ValueError as error:
            _log.warning("certificate to replace not readable", issuer=self.config.name, error=str(error))
            return ""

    async def _check_profile(self, profile: str) -> None:
        offered = (await self.orders.client.directory())["meta"].profiles
        if offered and profile not in offered:
            raise self._failed(f"the CA offers no profile '{profile}'; it has: {', '.join(sorted(offered))}")

    async def _see_through(self, order: Order, old: Sequence[Trace]) -> Issued:
        self.step(Step.ORDERED)
        order, what = await self._advance(order)
        if isinstance(what, Answer):
            order, what = await self._prove(order, old)
        else:
            await self.placed(PlacedOrder(order.url, tuple(old)))
        self.step(Step.VALIDATED)
        with trio.move_on_after(self.config.certificate_timeout):
            if isinstance(what, Finalize):
                order, what = await self._finalize(order)
            if isinstance(what, Download):
                issued = await self._download(what.url)
                self.step(Step.ISSUED)
                return issued
        raise IssuerUnavailable(
            f"issuer '{self.config.name}': no certificate within {self.config.certificate_timeout:g} s after the order"
            " was ready (certificate_timeout)"
        )

    async def _advance(self, order: Order) -> tuple[Order, Next]:
        """Look at the order until there is something to do about it."""
        while True:
            what = next_step(order, trio.current_time())
            if isinstance(what, GiveUp):
                raise await self._reasons(order, what.reason)
            if not isinstance(what, WaitUntil):
                return order, what
            self._check_patience(order, what.at - trio.current_time())
            await trio.sleep_until(what.at)
            order = seen(order, await self.orders.look(order))

    def _check_patience(self, order: Order, wait: float) -> None:
        if not fits(wait):
            raise IssuerUnavailable(
                f"issuer '{self.config.name}': the order is still {order.status}, and is to be looked at again in"
                f" {wait:.0f} s, later than there is time for",
                wait,
            )

    async def _prove(self, order: Order, old: Sequence[Trace]) -> tuple[Order, Next]:
        authorizations = await together(self.orders.authorization, order.authorizations)
        dead = [one for one in authorizations if one.status not in {Status.PENDING, Status.VALID}]
        if dead:
            raise _Unusable(f"issuer '{self.config.name}': the authorization for {dead[0].name} is {dead[0].status}")
        pending = [one for one in authorizations if one.status is Status.PENDING]
        try:
            offers = [self._choose(one) for one in pending]
            challenges = [self._challenge(one, offer) for one, offer in zip(pending, offers, strict=True)]
            traces = tuple(await self.solver.plan(challenges)) if challenges else ()
            await self.placed(PlacedOrder(order.url, (*traces, *(one for one in old if one not in traces))))
            async with self.solver.presented(traces):
                self.step(Step.PRESENTED)
                await together(self._answer, list(zip(pending, offers, strict=True)))
                return await self._advance(attrs.evolve(order, answered=True, looks=0))
        except (IssuanceFailed, ChallengeFailed):
            with trio.move_on_after(_CLEAN_UP, shield=True):
                await together(self._give_up, pending)
            raise

    def _choose(self, authorization: Authorization) -> Offer:
        for offer in authorization.offers:
            if offer.type == self.solver.type and offer.url and (offer.token or offer.type == _WITHOUT_TOKEN):
                return offer
        offered = ", ".join(offer.type for offer in authorization.offers) or "nothing"
        raise self._failed(f"the CA offers {offered} for {authorization.name}, but {self.solver.type} is configured")

    def _challenge(self, authorization: Authorization, offer: Offer) -> Challenge:
        try:
            identifier = Identifier(IdentifierType(authorization.type), authorization.name)
        except ValueError:
            raise self._failed(f"the CA wants proof of an identifier of type '{authorization.type}'") from None
        account = self.orders.account
        return Challenge(
            identifier,
            offer.type,
            offer.token,
            account.key.key_authorization(offer.token),
            account=account.url,
            wildcard=any(one.wildcard and one.base == identifier.value for one in self.request.identifiers),
            issuers=offer.issuers,
        )

    async def _answer(self, one: tuple[Authorization, Offer]) -> None:
        authorization, offer = one
        if offer.status is not Status.PENDING:
            return  # an earlier process has answered, and the CA is looking
        refusal = None
        try:
            await self.orders.answer(offer)
        except IssuanceFailed as error:
            refusal = error
        if refusal is None:
            return
        # A retry of an answer that did arrive is refused: what counts is whether the CA has taken it up.
        now = await self.orders.authorization(authorization.url)
        taken = any(other.url == offer.url and other.status is not Status.PENDING for other in now.offers)
        if now.status is Status.PENDING and not taken:
            raise refusal

    async def _finalize(self, order: Order) -> tuple[Order, Next]:
        refusal = None
        try:
            now = await self.orders.finalize(order, self.request.csr)
        except IssuanceFailed as error:
            refusal = error
        if refusal is not None:
            # So is a retry of a signing request that did arrive.
            now = await self.orders.look(order)
            if now.status not in {Status.PROCESSING, Status.VALID}:
                raise refusal
        self.step(Step.FINALIZED)
        return await self._advance(attrs.evolve(seen(order, now), finalized=True))

    async def _download(self, url: str) -> Issued:
        chain, others = await self.orders.download(url)
        preferred = self.config.preferred_chain
        if preferred and root_name(chain) != preferred:
            for other in others:
                candidate, _ = await self.orders.download(other)
                if root_name(candidate) == preferred:
                    url, chain = other, candidate
                    break
            else:
                _log.warning("preferred chain not offered", issuer=self.config.name, preferred=preferred)
        try:
            wrong = mismatch(chain, self.request.csr, self.request.identifiers)
        except (ValueError, AcmeManagerError) as error:
            raise self._failed(f"the certificate can't be read: {error}") from error
        if wrong:
            raise _Unusable(f"issuer '{self.config.name}': {wrong}")
        return Issued(chain, url)

    async def _reasons(self, order: Order, reason: str) -> IssuanceFailed:
        """The error for an order that failed: the CA keeps the reasons in the authorizations."""
        found: list[Problem] = []
        with trio.move_on_after(_REASONS):
            try:
                authorizations = await together(self.orders.authorization, order.authorizations)
            except AcmeManagerError:
                authorizations = []
            found = [attrs.evolve(one.problem, identifier=one.name) for one in authorizations if one.problem]
        if len(found) > 1:
            problem = Problem("urn:ietf:params:acme:error:compound", reason, subproblems=tuple(found))
        else:
            problem = found[0] if found else (order.problem or Problem("about:blank", reason))
        told = f"issuer '{self.config.name}': {in_words(problem)}"
        causes = problem.subproblems or (problem,)
        if all(one.code == "rateLimited" for one in causes):
            wait = order.retry_at - trio.current_time()
            return IssuerRateLimited(told, problem, wait if wait > 0 else None)
        return IssuanceFailed(told, problem)

    def _failed(self, what: str) -> IssuanceFailed:
        return IssuanceFailed(f"issuer '{self.config.name}': {what}")

    async def _give_up(self, authorization: Authorization) -> None:
        """Pending authorizations count against the CA's limits; one that has failed can't be given up, nor need be."""
        try:
            await self.orders.give_up(authorization.url)
        except AcmeManagerError as error:
            _log.debug("authorization not deactivated", issuer=self.config.name, error=str(error))

    async def _remove(self, traces: Sequence[Trace]) -> None:
        if not traces:
            return
        try:
            await self.solver.remove(traces)
        except ChallengeFailed as error:
            _log.warning("challenge of an earlier process not removed", issuer=self.config.name, error=str(error))
