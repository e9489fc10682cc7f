"""What storage remembers of a certificate: its latest versions, be the certificate still there or not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import attrs

from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.keys import describe
from acme_manager.errors import AcmeManagerError, CertificateNotFound
from acme_manager.ports import VersionInfo
from acme_manager.services.store import CertificateStore
from acme_manager.structure import together

_MOST, _AT_ONCE = 10, 4


@attrs.frozen(kw_only=True)
class CertificateVersion:
    """One version. What is deleted or destroyed has no facts, nor has what can't be read: `error` says why.

    `issuer` is the one that made it, `fingerprint` the server's (domain/keys.py), `key` reads `ECDSA-256`.
    """

    version: int
    created: datetime
    deleted: bool
    destroyed: bool
    serial: str = ""
    fingerprint: str = ""
    issuer: str = ""
    key: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    error: str = ""


async def latest_versions(store: CertificateStore, id: CertificateId) -> Sequence[CertificateVersion]:
    """The newest ten, the newest first. Raises CertificateNotFound, StorageUnavailable, StorageDenied."""
    known = await store.versions(id)
    if not known:
        raise CertificateNotFound(id.key)
    return await together(partial(_read, store, id), known[: -_MOST - 1 : -1], at_once=_AT_ONCE)


async def _read(store: CertificateStore, id: CertificateId, info: VersionInfo) -> CertificateVersion:
    bare = CertificateVersion(
        version=info.version, created=info.created, deleted=info.deleted, destroyed=info.destroyed
    )
    if info.deleted or info.destroyed:
        return bare
    try:
        stored, _ = await store.read_version(id, info.version)
        if stored is None:  # it went meanwhile
            return attrs.evolve(bare, deleted=True)
        facts = describe(stored.cert)
    except (AcmeManagerError, ValueError) as error:
        return attrs.evolve(bare, error=str(error))
    return attrs.evolve(
        bare,
        serial=facts.serial,
        fingerprint=stored.certificate.fingerprint,
        issuer=stored.certificate.issued_by or stored.certificate.issuer,
        key=facts.encryption,
        not_before=facts.not_before,
        not_after=facts.not_after,
    )
