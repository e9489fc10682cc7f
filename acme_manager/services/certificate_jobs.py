"""What is checked before work on a certificate begins, and the work itself, for the verbs of certificates.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Generic, TypeVar

import attrs

from acme_manager.domain.certificate import Certificate, CertificateId, StoredCertificate
from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.keys import same_key
from acme_manager.domain.names import parse_identifier
from acme_manager.domain.operation import Standing
from acme_manager.domain.planning import renewal_date
from acme_manager.domain.request import CertificateParams
from acme_manager.domain.revocation import Reason, parse_reason
from acme_manager.domain.token import Token
from acme_manager.errors import CertificateExists, CertificateNotFound, InvalidRequest
from acme_manager.services.attempts import DELETED
from acme_manager.services.checks import check_allowed, check_certificate_params
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Flight
from acme_manager.services.rate_limits import Operation, RateLimits
from acme_manager.services.state import State

T = TypeVar("T")

# What a certificate is made of: a change in any of these needs a new one (all others are facts about it).
_MADE_OF = (
    "domain", "issuer", "bundle", "days", "dns_challenge", "http_challenge", "csr", "key_type", "profile",
)  # fmt: skip
_REVOCATION = "to be revoked and deleted"


@attrs.frozen(kw_only=True)
class Job(Generic[T]):
    """A piece of work that has been checked, and is to be flown (jobs.py)."""

    id: CertificateId
    signature: Hashable
    work: Callable[[Flight[T]], Awaitable[T]]
    reason: str = ""  # of the attempt that it is
    quick: bool = False  # only storage has a part in it
    quiet: bool = False
    allowed: Callable[[], None] = lambda: None  # raises RateLimited


class CertificateJobs:
    """Makes a job of a wish, or raises what is wrong with it, without waiting."""

    def __init__(self, state: State, issuing: Issuing, limits: RateLimits) -> None:
        self._state, self._issuing, self._limits = state, issuing, limits
        self._store = issuing.store

    def request(self, caller: Token, params: CertificateParams) -> Job[StoredCertificate]:
        """See Certificates.request."""
        self._state.require_loaded()
        wanted = check_certificate_params(caller, params, self._issuing.common, self._issuing.issuers)
        if self._state.certificates.get(wanted.id.key) is not None:
            raise CertificateExists(wanted.id.key)
        return self._order(caller, Operation.CREATE, wanted)

    def update(self, caller: Token, params: CertificateParams) -> Job[StoredCertificate]:
        """See Certificates.update."""
        self._state.require_loaded()
        wanted = check_certificate_params(caller, params, self._issuing.common, self._issuing.issuers)
        present, reason = self._store.metadata(wanted.id), parse_reason(params.reason)
        if reason is not None and not params.revoke:
            raise InvalidRequest("'reason' is one to revoke for: it needs 'revoke'", "reason")
        if not _made_otherwise(present, wanted):
            return Job(id=wanted.id, signature=wanted, work=partial(self._change_facts, wanted), quick=True)
        asked = self._state.standing(present)
        if wanted.csr and present.csr and same_key(wanted.csr, present.csr):
            if asked.new_key:
                raise InvalidRequest(
                    f"'csr' is for the key that operation {asked.new_key} replaces: make a new key", "csr"
                )
            if reason is Reason.keyCompromise:
                raise InvalidRequest("'csr' is for the key that is compromised: make a new key", "csr")
        return self._order(caller, Operation.UPDATE, wanted, revoke=_reason(asked, revoke=params.revoke, reason=reason))

    def made_otherwise(self, caller: Token, params: CertificateParams) -> Sequence[str]:
        """See Certificates.made_otherwise."""
        self._state.require_loaded()
        wanted = check_certificate_params(caller, params, self._issuing.common, self._issuing.issuers)
        return _made_otherwise(self._store.metadata(wanted.id), wanted)

    def renewal_for(self, caller: Token, id: CertificateId) -> Job[StoredCertificate]:
        """See Certificates.renew_for."""
        if caller.username != id.owner:
            raise CertificateNotFound(id.key)
        present = self._store.metadata(self.locate(id))
        check_allowed(caller, present.issuer, present.identifiers)
        return self.renewal(id, f"asked for by token {caller.id}", caller=caller)

    def renewal(
        self, id: CertificateId, reason: str, *, revoke: bool = False, quiet: bool = False, caller: Token | None = None
    ) -> Job[StoredCertificate]:
        """See Certificates.renew. It counts against the limits of a `caller`, if there is one."""
        present = self._store.metadata(self.locate(id))
        asked, wanted = self._state.standing(present), _anew(present)
        if asked.new_key:
            raise InvalidRequest(
                f"operation {asked.new_key} replaces its key, which is its host's: make a new key there, and change the"
                " certificate (PUT) with a 'csr' made with it",
                "csr",
            )
        self._issuing.issuers.get(wanted.issuer)
        old = _reason(asked, revoke=revoke)
        return self._order(caller, Operation.UPDATE, wanted, revoke=old, reason=reason, quiet=quiet)

    def _order(
        self,
        caller: Token | None,
        operation: Operation,
        wanted: Certificate,
        *,
        revoke: Reason | None = None,
        reason: str = "requested",
        quiet: bool = False,
    ) -> Job[StoredCertificate]:
        def counted() -> bool:
            # An order that was placed before has been counted, and whoever placed it is told to ask again.
            placed = self._issuing.unfinished.get(wanted.id.key)
            return placed is None or (placed.certificate, placed.revoke) != (wanted, revoke)

        def allowed() -> None:
            if caller is not None and counted():
                self._limits.check(caller, wanted, operation)

        async def work(flight: Flight[StoredCertificate]) -> StoredCertificate:
            with self._limits.counted(caller, wanted, operation) if caller is not None and counted() else nullcontext():
                return await self._issuing.issue(wanted, flight, revoke=revoke, reason=reason)

        return Job(id=wanted.id, signature=(wanted, revoke), work=work, reason=reason, quiet=quiet, allowed=allowed)

    def deletion(self, id: CertificateId, *, revoke: bool, reason: Reason | None) -> Job[None]:
        """See Certificates.delete."""
        id = self.locate(id)
        self._store.metadata(id)
        return Job(
            id=id,
            signature=("delete", revoke, reason),
            work=partial(self._revoke_and_delete, id, reason=reason) if revoke else partial(self._delete, id),
            reason=_REVOCATION,
            quick=not revoke,
        )

    def locate(self, id: CertificateId) -> CertificateId:
        """The identity as it is kept: as it was given, else in the spelling that new certificates get."""
        if id.name or self._state.certificates.get(id.key) is not None:
            return id
        try:
            return attrs.evolve(id, domain=parse_identifier(id.domain).value)
        except InvalidRequest:
            return id

    async def _change_facts(self, wanted: Certificate, _flight: Flight[StoredCertificate]) -> StoredCertificate:
        stored, version = await self._store.read_version(wanted.id)
        if stored is None:
            raise CertificateNotFound(wanted.id.key)
        at = milliseconds(self._issuing.clock.now())
        changed = attrs.evolve(
            stored.certificate, renewal_days=wanted.renewal_days, labels=wanted.labels, updated_at=at
        )
        date = renewal_date(changed, self._issuing.common.cert_days_renewal)
        stored = attrs.evolve(stored, certificate=attrs.evolve(changed, renewal_date=date))
        await self._store.write(stored, expected=version)
        return stored

    async def _delete(self, id: CertificateId, _flight: Flight[None]) -> None:
        await self._store.delete(id)

    async def _revoke_and_delete(self, id: CertificateId, _flight: Flight[None], *, reason: Reason | None) -> None:
        with self._issuing.attempts.noted(id, _REVOCATION, DELETED):
            stored, _ = await self._store.read_version(id)
            if stored is not None:
                await self._issuing.revoke(stored, reason)
            await self._store.delete(id)


def _anew(present: Certificate) -> Certificate:
    """The wish that brings about the same certificate again."""
    return attrs.evolve(
        present,
        expires="",
        renewal_date="",
        fingerprint="",
        serial="",
        encryption="",
        issued_by="",
        issued_at=0,
        updated_at=0,
        renewal_count=present.renewal_count + 1,
    )


def _reason(asked: Standing, *, revoke: bool, reason: Reason | None = None) -> Reason | None:
    """What the old certificate is revoked for; None: it is not."""
    if not revoke or (reason is None and asked.revoke is not None):
        return asked.revoke
    return Reason.superseded if reason is None else reason


def _made_otherwise(present: Certificate, wanted: Certificate) -> Sequence[str]:
    found = [field for field in _MADE_OF if getattr(present, field) != getattr(wanted, field)]
    same_names = set(present.identifiers) == set(wanted.identifiers)
    return found if same_names or "domain" in found else [*found, "san"]
