"""One certificate from the wish to storage, in steps that survive the death of the process between any two of them.

order -> journal -> challenges -> finalize -> certificate -> storage -> revoke the old one, if asked -> forget the order

The order's record is written before anything becomes visible and forgotten last. Whoever finds a record knows from the
version of the stored secret whether the certificate has been kept already.
"""

from __future__ import annotations

import attrs
import structlog
import trio

from acme_manager.config.model import Common
from acme_manager.domain.certificate import Certificate, StoredCertificate
from acme_manager.domain.gotime import format_time, milliseconds
from acme_manager.domain.keys import (
    DEFAULT_KEY_TYPE,
    belong_together,
    describe,
    fingerprint,
    key_to_pem,
    make_csr,
    make_key,
    parse_csr,
    parse_key_type,
    split_chain,
)
from acme_manager.domain.planning import renewal_date
from acme_manager.domain.revocation import Reason
from acme_manager.errors import (
    AcmeManagerError,
    ChallengeFailed,
    IssuanceFailed,
    IssuanceTimedOut,
    IssuerUnavailable,
    Rejected,
    StorageUnavailable,
)
from acme_manager.ports import Clock, Cluster, Issued, OrderRequest, PlacedOrder, Step
from acme_manager.services.attempts import Attempts
from acme_manager.services.budgets import Budgets
from acme_manager.services.fallback import Fallback
from acme_manager.services.hooks import Hooks
from acme_manager.services.issuers import Issuers
from acme_manager.services.jobs import Flight
from acme_manager.services.journal import Journal, OrderRecord
from acme_manager.services.progress import Progress
from acme_manager.services.settings import Settings
from acme_manager.services.spool import Spool
from acme_manager.services.store import CertificateStore

_log = structlog.get_logger(__name__)

_NOT_THE_ACCOUNT = frozenset({"unauthorized", "accountDoesNotExist"})
_FORGET_SECONDS = 10.0


@attrs.frozen(kw_only=True)
class Issuing:
    """Sees orders through. Its methods run inside flights (jobs.py)."""

    cluster: Cluster
    store: CertificateStore
    journal: Journal
    spool: Spool
    issuers: Issuers
    budgets: Budgets
    progress: Progress
    attempts: Attempts
    clock: Clock
    settings: Settings
    fallback: Fallback
    hooks: Hooks
    unfinished: dict[str, OrderRecord] = attrs.field(factory=dict)  # by the certificate's key
    unrevoked: set[str] = attrs.field(factory=set)  # of these, what is kept, and only the old one is yet to be revoked

    @property
    def common(self) -> Common:
        """The settings as they are now."""
        return self.settings.common

    async def read_journal(self) -> list[OrderRecord]:
        """Take note of what an earlier leader left unfinished."""
        self.unfinished.clear()
        self.unrevoked.clear()
        for record in await self.journal.read_all():
            self.unfinished[record.certificate.id.key] = record
        return list(self.unfinished.values())

    async def issue(
        self,
        wanted: Certificate,
        flight: Flight[StoredCertificate],
        *,
        revoke: Reason | None = None,
        reason: str = "",
    ) -> StoredCertificate:
        """Get `wanted` issued and keep it; with `revoke`, revoke the certificate that it follows for that afterwards.

        `reason` is why it is done, for the log. Raises what Issuer.issue raises, and StorageUnavailable as long as
        nothing has been issued.
        """
        with self.attempts.noted(wanted.id, reason or "requested"):
            return await self._issue(wanted, flight, revoke=revoke, reason=reason)

    async def _issue(
        self, wanted: Certificate, flight: Flight[StoredCertificate], *, revoke: Reason | None, reason: str
    ) -> StoredCertificate:
        began = trio.current_time()
        record = self.unfinished.get(wanted.id.key)
        if record is None and not self.store.knows(wanted.id):
            current, version = None, 0  # most likely new; if storage knows better, `keep` finds out
        else:
            current, version = await self.store.read_version(wanted.id)
        if record is not None and current is not None and version > record.expected:
            await self._settle(record)
            if record.certificate == wanted:
                self.store.publish(current)
                return current
            record = None
        if record is not None and not _fits(record, wanted, current, version, revoke=revoke):
            await self._abandon(record)
            record = None
        if record is None:
            record = await self._prepare(wanted, current, version, revoke=revoke)
        record, issued = await self._order_somewhere(record)
        stored = self._finish(record, issued)
        await self._keep(stored, record, flight)
        self.progress.publish(wanted.id, Step.STORED)
        await self._settle(record)
        _log.info(
            "certificate issued",
            key=wanted.id.key,
            issuer=record.ordered.issuer,
            serial=stored.certificate.serial,
            expires=stored.certificate.expires,
            renewal_date=stored.certificate.renewal_date,
            renewal_count=stored.certificate.renewal_count,
            reason=reason or "requested",
            seconds=round(trio.current_time() - began, 3),
        )
        return stored

    async def _abandon(self, record: OrderRecord) -> None:
        """Clean up after an order whose certificate nobody wants any more."""
        await self._clean_up(record)
        await self._forget(record)

    async def _clean_up(self, record: OrderRecord) -> None:
        """Take away what an order has left visible. Raises ChallengeFailed."""
        try:
            solver = self.issuers.solver_for(record.ordered)
        except Rejected as error:  # its issuer or its provider is configured no more
            _log.warning("challenges left behind", key=record.certificate.id.key, error=str(error))
            return
        await solver.remove(record.order.traces)

    async def _prepare(
        self, wanted: Certificate, current: StoredCertificate | None, version: int, *, revoke: Reason | None
    ) -> OrderRecord:
        csr, private_key = parse_csr(wanted.csr).der if wanted.csr else b"", ""
        if not csr:
            key_type = parse_key_type(wanted.key_type or DEFAULT_KEY_TYPE)
            # RSA takes up to seconds, and the library lets other threads run meanwhile.
            key = await trio.to_thread.run_sync(make_key, key_type) if key_type.slow else make_key(key_type)
            csr, private_key = make_csr(key, wanted.identifiers), key_to_pem(key)
        return OrderRecord(
            certificate=wanted,
            csr=csr,
            private_key=private_key,
            expected=version,
            revoke=revoke,
            replaces=_replaced(wanted, current),
            order=PlacedOrder(""),
        )

    async def _order_somewhere(self, record: OrderRecord) -> tuple[OrderRecord, Issued]:
        """With the certificate's own issuer, or with one that stands in for it. Raises what the first one raises."""
        first: AcmeManagerError | None = None
        tried = {record.ordered.issuer}
        while True:
            try:
                return record, await self._order(record)
            except AcmeManagerError as error:
                failure = error
            first = first or failure
            following = await self.fallback.after(failure, record.certificate, tried)
            if following is None:
                raise first
            record = await self._move(record, following)

    async def _move(self, record: OrderRecord, ordered: Certificate) -> OrderRecord:
        """The record of an order that is to be placed with another issuer.

        It replaces the last one in the journal once it is placed; what the last one left in DNS is taken away before.
        """
        left = self.unfinished.get(record.certificate.id.key)
        if left is not None:
            try:
                await self._clean_up(left)
            except ChallengeFailed as error:
                _log.warning("challenges left behind", key=record.certificate.id.key, error=str(error))
        stand_in = ordered if ordered != record.certificate else None
        return attrs.evolve(record, stand_in=stand_in, replaces="", order=PlacedOrder(""))

    async def _order(self, record: OrderRecord) -> Issued:
        wanted, ordered = record.certificate, record.ordered
        copy = self.spool.load(wanted.id) if record.order.url else ""
        if copy and belong_together(copy, record.csr):
            await self.issuers.solver_for(ordered).remove(record.order.traces)
            return Issued(copy, "")

        async def placed(order: PlacedOrder) -> None:
            noted = attrs.evolve(record, order=order)
            await self.journal.write(noted)
            self.unfinished[wanted.id.key] = noted
            self.unrevoked.discard(wanted.id.key)

        solver, resumed = self.issuers.solver_for(ordered), bool(record.order.url)
        if not resumed:  # before the fence, since hooks take their time, and before the budget, which they may spare
            dns, _ = self.issuers.choice(ordered)
            await self.hooks.ask(ordered.identifiers, ordered.issuer, dns=bool(dns))
        await self.cluster.confirm()
        request = OrderRequest(
            identifiers=wanted.identifiers,
            csr=record.csr,
            days=ordered.days,
            profile=ordered.profile,
            replaces=record.replaces,
        )
        renewal = bool(record.replaces)
        budget = self.budgets.ordering(
            ordered.issuer, ordered.identifiers, renewal=renewal, ari=renewal, resumed=resumed
        )
        self.attempts.watch(wanted.id, ordered.issuer, solver)
        try:
            with trio.fail_after(self.common.cert_timeout), budget:
                return await self.issuers.get(ordered.issuer).issue(
                    request,
                    solver,
                    placed=placed,
                    step=lambda step: self.progress.publish(wanted.id, step),
                    resume=record.order if resumed else None,
                )
        except trio.TooSlowError:
            raise IssuanceTimedOut(
                f"the order was not finished within {self.common.cert_timeout:g} s (common.cert_timeout);"
                " it is taken up again by the next request"
            ) from None
        except (IssuerUnavailable, StorageUnavailable):
            raise  # the order may still come to something: its record stays
        except AcmeManagerError:
            with trio.move_on_after(_FORGET_SECONDS, shield=True):
                await self._forget(self.unfinished.get(wanted.id.key))
            raise

    def _finish(self, record: OrderRecord, issued: Issued) -> StoredCertificate:
        wanted, at = record.certificate, self.clock.now()
        leaf, rest = split_chain(issued.chain)
        cert = issued.chain if wanted.bundle else leaf
        facts = describe(leaf)
        certificate = attrs.evolve(
            wanted,
            encryption=facts.encryption,
            serial=facts.serial,
            expires=format_time(facts.not_after),
            fingerprint=fingerprint(cert),
            updated_at=milliseconds(at),
            # By the clock of another leader it may be older than what is to be replaced.
            issued_at=max(milliseconds(at), *(one.started_at for one in self.store.state.open_operations), 0),
            issued_by=record.stand_in.issuer if record.stand_in else "",
        )
        certificate = attrs.evolve(certificate, renewal_date=renewal_date(certificate, self.common.cert_days_renewal))
        return StoredCertificate(
            certificate=certificate, cert=cert, ca_issuer=rest, url=issued.url, private_key=record.private_key
        )

    async def _keep(self, stored: StoredCertificate, record: OrderRecord, flight: Flight[StoredCertificate]) -> None:
        def not_yet(error: Exception) -> None:
            self.spool.save(
                stored.certificate.id, stored.cert if stored.certificate.bundle else stored.cert + stored.ca_issuer
            )
            flight.give_up_waiting(
                StorageUnavailable(
                    f"the certificate has been issued and will be stored as soon as storage takes it: {error}", 10.0
                )
            )

        await self.store.keep(stored, expected=record.expected, on_failure=not_yet)
        self.spool.remove(stored.certificate.id)

    async def _settle(self, record: OrderRecord) -> None:
        """The certificate is kept: revoke the old one if that was asked for, and forget the order."""
        try:
            await self._revoke_old(record)
        except (AcmeManagerError, trio.TooSlowError) as error:
            # The record stays, so that it is tried again (services/operation_rounds.py), and by the next leader too.
            _log.error("old certificate not revoked yet", key=record.certificate.id.key, error=str(error))
            self.unrevoked.add(record.certificate.id.key)
            return
        await self._forget(self.unfinished.get(record.certificate.id.key))

    async def _revoke_old(self, record: OrderRecord) -> None:
        """Revoke it if that was asked for, be it by an operation that began while the order was under way."""
        asked = record.revoke is not None or any(one.revoke for one in self.store.state.open_operations)
        if not asked or not record.expected:
            return
        old, _ = await self.store.read_version(record.certificate.id, record.expected)
        if old is None:
            return
        reason = self.store.state.standing(old.certificate).revoke if record.revoke is None else record.revoke
        if reason is not None:
            await self.revoke(old, reason)

    async def revoke(self, stored: StoredCertificate, reason: int | None = None) -> None:
        """Have a certificate revoked by the CA that issued it. Raises what Issuer.revoke raises, and NotLeader."""
        if not stored.cert:
            _log.warning("nothing to revoke: storage has no certificate", key=stored.certificate.id.key)
            return
        await self.cluster.confirm()
        issuer = self.issuers.get(stored.certificate.issued_by or stored.certificate.issuer)
        with trio.fail_after(self.common.cert_timeout):
            try:
                await issuer.revoke(stored.cert, reason)
            except IssuanceFailed as error:
                # Another account may have ordered it, or ours may be gone: who has the key may revoke it, too.
                if not stored.private_key or error.problem is None or error.problem.code not in _NOT_THE_ACCOUNT:
                    raise
                await issuer.revoke(stored.cert, reason, private_key=stored.private_key)
        self.progress.publish(stored.certificate.id, Step.REVOKED)

    async def _forget(self, record: OrderRecord | None) -> None:
        if record is None:
            return
        try:
            await self.journal.forget(record)
        except AcmeManagerError as error:
            _log.warning("record of a finished order not removed", key=record.certificate.id.key, error=str(error))
        self.unfinished.pop(record.certificate.id.key, None)
        self.unrevoked.discard(record.certificate.id.key)


def _fits(
    record: OrderRecord, wanted: Certificate, current: StoredCertificate | None, version: int, *, revoke: Reason | None
) -> bool:
    """Whether an earlier attempt was about the same, and nothing has been kept since."""
    same = (record.certificate, record.revoke) == (wanted, revoke)
    return same and (current is None or record.expected == version)


def _replaced(wanted: Certificate, current: StoredCertificate | None) -> str:
    """The leaf that a new certificate takes the place of, as its CA understands that (RFC 9773 section 5)."""
    if current is None or wanted.issuer != (current.certificate.issued_by or current.certificate.issuer):
        return ""
    try:
        shared = set(wanted.identifiers) & set(current.certificate.identifiers)
        return split_chain(current.cert)[0] if shared else ""
    except (ValueError, AcmeManagerError):  # a record of another program
        return ""
