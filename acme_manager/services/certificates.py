"""The verbs of `/api/v1/certificate`: request, read, update, renew, delete (guide, "API Architecture")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import attrs

from acme_manager.domain.certificate import Certificate, CertificateId, StoredCertificate
from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.keys import same_key
from acme_manager.domain.names import parse_identifier
from acme_manager.domain.operation import Standing
from acme_manager.domain.planning import renewal_date
from acme_manager.domain.request import CertificateParams, RenewParams
from acme_manager.domain.revocation import Reason
from acme_manager.domain.token import Token
from acme_manager.errors import CertificateExists, CertificateNotFound, InvalidRequest
from acme_manager.services.checks import check_allowed, check_certificate_params
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Flight, Jobs
from acme_manager.services.rate_limits import Operation, RateLimits
from acme_manager.services.state import State

# What a certificate is made of: a change in any of these needs a new one (all others are facts about it).
_MADE_OF = (
    "domain", "issuer", "bundle", "days", "dns_challenge", "http_challenge", "csr", "key_type", "profile",
)  # fmt: skip


class Certificates:
    """What callers may do with certificates. Scopes are checked before any of this (api/auth.py)."""

    def __init__(self, state: State, issuing: Issuing, jobs: Jobs, limits: RateLimits) -> None:
        self._state, self._issuing, self._jobs, self._limits = state, issuing, jobs, limits
        self._store = issuing.store

    async def request(self, caller: Token, params: CertificateParams) -> StoredCertificate:
        """Issue a new certificate. A second request for the same one gets the result of the first.

        Raises InvalidRequest, NameNotAllowed, CertificateExists, OperationInProgress, RateLimited and what
        Issuing.issue raises.
        """
        self._state.require_loaded()
        wanted = check_certificate_params(caller, params, self._issuing.common, self._issuing.issuers)
        if self._state.certificates.get(wanted.id.key) is not None:
            raise CertificateExists(wanted.id.key)
        return await self._issue(caller, Operation.CREATE, wanted)

    async def update(self, caller: Token, params: CertificateParams) -> StoredCertificate:
        """Change a certificate: a new one is issued if it is to be made of something else, else only facts change.

        Raises CertificateNotFound besides what `request` raises.
        """
        self._state.require_loaded()
        wanted = check_certificate_params(caller, params, self._issuing.common, self._issuing.issuers)
        present = self._store.metadata(wanted.id)
        if _same_make(present, wanted):
            return await self._jobs.run(wanted.id.key, wanted, partial(self._change_facts, wanted))
        asked = self._state.standing(present)
        if asked.new_key and wanted.csr and present.csr and same_key(wanted.csr, present.csr):
            raise InvalidRequest(f"'csr' is for the key that operation {asked.new_key} replaces: make a new key", "csr")
        return await self._issue(caller, Operation.UPDATE, wanted, revoke=_reason(asked, revoke=params.revoke))

    async def renew_for(self, caller: Token, params: RenewParams) -> StoredCertificate:
        """Renew a certificate of the caller now, because it wants that.

        Raises InvalidRequest when nothing is named, NameNotAllowed and what `renew` raises.
        """
        if not (params.name or (params.issuer and params.domain)):
            where = "domain" if params.issuer else "issuer"
            raise InvalidRequest("name a certificate: by its 'name', or by 'issuer' and 'domain'", where)
        id = self._locate(CertificateId(caller.username, params.issuer, params.domain, params.name))
        present = self._store.metadata(id)
        check_allowed(caller, present.issuer, present.identifiers)
        return await self.renew(id, f"asked for by token {caller.id}", caller=caller)

    async def renew(
        self,
        id: CertificateId,
        reason: str,
        *,
        revoke: bool = False,
        quiet: bool = False,
        caller: Token | None = None,
    ) -> StoredCertificate:
        """Issue a certificate anew as it is: with the caller's CSR if there was one, else with a new key.

        The present one stays valid and is served meanwhile; with `revoke`, or if an operation wants that, it is revoked
        once the new one is kept. `reason` is for the log; `quiet` leaves it to the caller to log a failure. It counts
        against the limits of a `caller`, if there is one.

        Raises CertificateNotFound, InvalidRequest when its issuer is not configured any more or an operation does not
        let the caller's CSR be used again, OperationInProgress and what Issuing.issue raises.
        """
        present = self._store.metadata(self._locate(id))
        asked, wanted = self._state.standing(present), _anew(present)
        if asked.new_key:
            raise InvalidRequest(
                f"operation {asked.new_key} replaces its key, which is its host's: make a new key there, and change the"
                " certificate (PUT) with a 'csr' made with it",
                "csr",
            )
        self._issuing.issuers.get(wanted.issuer)
        old = _reason(asked, revoke=revoke)
        return await self._issue(caller, Operation.UPDATE, wanted, revoke=old, reason=reason, quiet=quiet)

    async def get(self, id: CertificateId) -> StoredCertificate:
        """Raises CertificateNotFound, StorageUnavailable."""
        return await self._store.read(self._locate(id))

    def list(self, owner: str) -> Sequence[Certificate]:
        """The metadata of everything that belongs to an owner, in the order of their keys."""
        self._state.require_loaded()
        prefix = f"{owner}/"
        return [one for key, one in self._state.certificates.items() if key.startswith(prefix)]

    def find(self, id: CertificateId) -> Certificate:
        """The metadata of one certificate. Raises CertificateNotFound."""
        return self._store.metadata(self._locate(id))

    def attempts(self, id: CertificateId) -> Sequence[Mapping[str, Any]]:
        """How the last attempts at a certificate went, be it there or not. Raises CertificateNotFound."""
        id = self._locate(id)
        found = self._issuing.attempts.of(id)
        if not found:
            self._store.metadata(id)
        return found

    async def delete(self, id: CertificateId, *, revoke: bool, reason: Reason | None = None) -> None:
        """Remove a certificate, with `revoke` not before the CA has revoked it. Raises CertificateNotFound."""
        id = self._locate(id)
        self._store.metadata(id)
        work = partial(self._delete, id, revoke=revoke, reason=reason)
        await self._jobs.run(id.key, ("delete", revoke, reason), work)

    def resume(self, wanted: Certificate, *, revoke: Reason | None) -> None:
        """Take an order of an earlier process up again, in the background."""
        reason = "taken up where an earlier process had left it"
        work = partial(self._issuing.issue, wanted, revoke=revoke, reason=reason)
        self._jobs.start(wanted.id.key, (wanted, revoke), work)

    async def _issue(
        self,
        caller: Token | None,
        operation: Operation,
        wanted: Certificate,
        *,
        revoke: Reason | None = None,
        reason: str = "",
        quiet: bool = False,
    ) -> StoredCertificate:
        async def work(flight: Flight[StoredCertificate]) -> StoredCertificate:
            # An order that was placed before has been counted, and whoever placed it is told to ask again.
            placed = self._issuing.unfinished.get(wanted.id.key)
            again = placed is not None and (placed.certificate, placed.revoke) == (wanted, revoke)
            with nullcontext() if again or caller is None else self._limits.counted(caller, wanted, operation):
                return await self._issuing.issue(wanted, flight, revoke=revoke, reason=reason)

        return await self._jobs.run(wanted.id.key, (wanted, revoke), work, quiet=quiet)

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

    async def _delete(self, id: CertificateId, _flight: Flight[None], *, revoke: bool, reason: Reason | None) -> None:
        if revoke:
            stored, _ = await self._store.read_version(id)
            if stored is not None:
                await self._issuing.revoke(stored, reason)
        await self._store.delete(id)

    def _locate(self, id: CertificateId) -> CertificateId:
        """The identity as it is kept: as it was given, else in the spelling that new certificates get."""
        if id.name or self._state.certificates.get(id.key) is not None:
            return id
        try:
            return attrs.evolve(id, domain=parse_identifier(id.domain).value)
        except InvalidRequest:
            return id


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


def _reason(asked: Standing, *, revoke: bool) -> Reason | None:
    """What the old certificate is revoked for; None: it is not."""
    return Reason.superseded if asked.revoke is None and revoke else asked.revoke


def _same_make(present: Certificate, wanted: Certificate) -> bool:
    same = all(getattr(present, field) == getattr(wanted, field) for field in _MADE_OF)
    return same and set(present.identifiers) == set(wanted.identifiers)
