"""The verbs of `/api/v1/certificate`: request, read, update, renew, delete (guide, "API Architecture").

Each verb that takes long has a twin, `begin_…`, which makes the same checks and returns as soon as the work is under
way: how it goes and ends is then shown by `attempts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from acme_manager.domain.bundle_files import Parts
from acme_manager.domain.certificate import Certificate, CertificateId, StoredCertificate
from acme_manager.domain.chain import Link, describe_chain
from acme_manager.domain.request import CertificateParams, RenewParams
from acme_manager.domain.revocation import Reason
from acme_manager.domain.token import Token
from acme_manager.errors import (
    CertificateExists,
    CertificateNotFound,
    InvalidRequest,
    OperationInProgress,
    StorageUnavailable,
)
from acme_manager.services.certificate_jobs import CertificateJobs, Job
from acme_manager.services.issuing import Issuing
from acme_manager.services.jobs import Jobs
from acme_manager.services.rate_limits import RateLimits
from acme_manager.services.state import State
from acme_manager.services.versions import CertificateVersion, latest_versions

T = TypeVar("T")


class Certificates:
    """What callers may do with certificates. Scopes are checked before any of this (api/auth.py)."""

    def __init__(self, state: State, issuing: Issuing, jobs: Jobs, limits: RateLimits) -> None:
        self._state, self._issuing, self._jobs = state, issuing, jobs
        self._store, self._ready = issuing.store, CertificateJobs(state, issuing, limits)

    async def request(self, caller: Token, params: CertificateParams) -> StoredCertificate:
        """Issue a new certificate. A second request for the same one gets the result of the first.

        Raises InvalidRequest, NameNotAllowed, CertificateExists, OperationInProgress, RateLimited and what
        Issuing.issue raises.
        """
        return await self._run(self._ready.request(caller, params))

    async def begin_request(self, caller: Token, params: CertificateParams) -> CertificateId:
        """Begin to issue a new certificate, and return its identity. Raises what `request` raises at once."""
        return await self._begin(partial(self._ready.request, caller, params))

    async def update(self, caller: Token, params: CertificateParams) -> StoredCertificate:
        """Change a certificate: a new one is issued if it is to be made of something else, else only facts change.

        Raises CertificateNotFound besides what `request` raises.
        """
        return await self._run(self._ready.update(caller, params))

    async def begin_update(self, caller: Token, params: CertificateParams) -> CertificateId:
        """Begin to change a certificate; facts are changed on return. Raises what `update` raises at once."""
        return await self._begin(partial(self._ready.update, caller, params))

    def dismiss(self, id: CertificateId) -> None:
        """As the leader, forget a request that has come to nothing: nobody wants it any more.

        Raises CertificateNotFound if there was none, OperationInProgress, CertificateExists, NotLeader, NoQuorum.
        """
        id = self._ready.locate(id)
        if self._state.certificates.get(id.key) is not None:
            raise CertificateExists(id.key)
        if self._jobs.busy(id.key):
            raise OperationInProgress(id.key)
        if not self._issuing.attempts.of(id):
            raise CertificateNotFound(id.key)
        self._issuing.attempts.forget(id)

    def made_otherwise(self, caller: Token, params: CertificateParams) -> Sequence[str]:
        """The fields in which a change makes another certificate of it, so that one is issued; none: only facts change.

        Raises InvalidRequest, NameNotAllowed, CertificateNotFound.
        """
        return self._ready.made_otherwise(caller, params)

    async def renew_for(self, caller: Token, params: RenewParams) -> StoredCertificate:
        """Renew a certificate of the caller now, because it wants that.

        Raises InvalidRequest when nothing is named, NameNotAllowed and what `renew` raises.
        """
        if not (params.name or (params.issuer and params.domain)):
            where = "domain" if params.issuer else "issuer"
            raise InvalidRequest("name a certificate: by its 'name', or by 'issuer' and 'domain'", where)
        id = CertificateId(caller.username, params.issuer, params.domain, params.name)
        return await self._run(self._ready.renewal_for(caller, id))

    async def begin_renewal(self, caller: Token | None, id: CertificateId) -> CertificateId:
        """Begin to renew a certificate, for its owner or (None) for an administrator.

        Raises CertificateNotFound when it is somebody else's, and what `renew_for` and `renew` raise at once.
        """
        if caller is None:
            return await self._begin(partial(self._ready.renewal, id, "asked for by an administrator"))
        return await self._begin(partial(self._ready.renewal_for, caller, id))

    async def renew(
        self, id: CertificateId, reason: str, *, revoke: bool = False, quiet: bool = False
    ) -> StoredCertificate:
        """Issue a certificate anew as it is: with the caller's CSR if there was one, else with a new key.

        The present one stays valid and is served meanwhile; with `revoke`, or if an operation wants that, it is revoked
        once the new one is kept. `reason` is for the log; `quiet` leaves it to the caller to log a failure.

        Raises CertificateNotFound, InvalidRequest when its issuer is not configured any more or an operation does not
        let the caller's CSR be used again, OperationInProgress and what Issuing.issue raises.
        """
        return await self._run(self._ready.renewal(id, reason, revoke=revoke, quiet=quiet))

    async def get(self, id: CertificateId) -> StoredCertificate:
        """Raises CertificateNotFound, StorageUnavailable."""
        return await self._store.read(self._ready.locate(id))

    def list(self, owner: str | None) -> Sequence[Certificate]:
        """The metadata of everything that belongs to an owner, or (None) to anyone, in the order of their keys."""
        self._state.require_loaded()
        prefix = "" if owner is None else f"{owner}/"
        return [one for key, one in self._state.certificates.items() if key.startswith(prefix)]

    def find(self, id: CertificateId) -> Certificate:
        """The metadata of one certificate. Raises CertificateNotFound."""
        return self._store.metadata(self._ready.locate(id))

    def attempts(self, id: CertificateId) -> Sequence[Mapping[str, Any]]:
        """How the last attempts at a certificate went, be it there or not. Raises CertificateNotFound."""
        id = self._ready.locate(id)
        found = self._issuing.attempts.of(id)
        if not found:
            self._store.metadata(id)
        return found

    async def chain(self, id: CertificateId) -> Sequence[Link]:
        """What the certificate and those behind it say about themselves, the leaf first. Raises what `get` raises."""
        stored = await self.get(id)
        try:
            return describe_chain(Parts.of(stored).fullchain)
        except ValueError as error:
            raise StorageUnavailable(f"the certificate '{id.key}' as it is kept can't be read: {error}") from error

    async def versions(self, id: CertificateId) -> Sequence[CertificateVersion]:
        """What storage remembers of it, be it there or not: the newest ten versions, the newest first.

        Raises CertificateNotFound, StorageUnavailable, StorageDenied.
        """
        return await latest_versions(self._store, self._ready.locate(id))

    async def delete(self, id: CertificateId, *, revoke: bool, reason: Reason | None = None) -> None:
        """Remove a certificate, with `revoke` not before the CA has revoked it. Raises CertificateNotFound."""
        await self._run(self._ready.deletion(id, revoke=revoke, reason=reason))

    async def begin_deletion(self, id: CertificateId, *, revoke: bool, reason: Reason | None = None) -> CertificateId:
        """Begin to remove a certificate; what needs no revocation is gone on return. Raises what `delete` raises at
        once."""
        return await self._begin(partial(self._ready.deletion, id, revoke=revoke, reason=reason))

    def resume(self, wanted: Certificate, *, revoke: Reason | None) -> None:
        """Take an order of an earlier process up again, in the background."""
        reason = "taken up where an earlier process had left it"
        work = partial(self._issuing.issue, wanted, revoke=revoke, reason=reason)
        self._jobs.start(wanted.id.key, (wanted, revoke), work)

    async def _run(self, job: Job[T]) -> T:
        return await self._jobs.run(job.id.key, job.signature, job.work, quiet=job.quiet)

    async def _begin(self, check: Callable[[], Job[Any]]) -> CertificateId:
        """Start a job. What it comes to is in `attempts` from here on, unless it is over already."""
        await self._jobs.admitted()
        job = check()
        if job.quick:
            await self._run(job)
        elif self._jobs.busy(job.id.key):
            self._jobs.start(job.id.key, job.signature, job.work)
        else:
            job.allowed()  # counts for this certificate do not change before its flight looks at them again
            self._jobs.start(job.id.key, job.signature, job.work)
            self._issuing.attempts.announce(job.id, job.reason)
        return job.id
