"""Certificates in storage, their metadata in memory, and a bounded cache of public text between the two."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

import attrs
import structlog
import trio

from acme_manager.domain.certificate import (
    Certificate,
    CertificateId,
    StoredCertificate,
    stored_from_json,
    stored_to_json,
)
from acme_manager.errors import CertificateNotFound, StaleVersion, StorageUnavailable, Unavailable
from acme_manager.ports import Storage, VersionInfo
from acme_manager.services.state import State
from acme_manager.storage import keys

_log = structlog.get_logger(__name__)

_CACHED = 4096  # certificates; 5 kB each
_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # between attempts to keep what a CA has issued; the last one repeats


class CertificateStore:
    """Reads and writes certificates. A key made by the server is in storage and nowhere else."""

    def __init__(self, storage: Storage, state: State, prefix: str) -> None:
        self._storage, self._state, self._prefix = storage, state, prefix
        self._cache: OrderedDict[str, StoredCertificate] = OrderedDict()

    @property
    def state(self) -> State:
        """What every node knows of the certificates."""
        return self._state

    def knows(self, id: CertificateId) -> bool:
        """Whether there is such a certificate as far as this node's state goes."""
        return self._state.certificates.get(id.key) is not None

    def metadata(self, id: CertificateId) -> Certificate:
        """Raises CertificateNotFound."""
        self._state.require_loaded()
        found = self._state.certificates.get(id.key)
        if found is None:
            raise CertificateNotFound(id.key)
        return found

    async def read(self, id: CertificateId) -> StoredCertificate:
        """The certificate with its text. Raises CertificateNotFound, StorageUnavailable."""
        metadata = self.metadata(id)
        cached = self._cache.get(id.key)
        if cached is not None and cached.certificate is metadata:
            self._cache.move_to_end(id.key)
            return cached
        stored, _ = await self.read_version(id)
        if stored is None:
            raise CertificateNotFound(id.key)
        if stored.certificate.fingerprint == metadata.fingerprint:
            stored = attrs.evolve(stored, certificate=metadata)
        # Else another node has renewed it, and its metadata is on the way.
        self._remember(stored)
        return stored

    async def read_version(
        self,
        id: CertificateId,
        version: int | None = None,
    ) -> tuple[StoredCertificate | None, int]:
        """What storage holds, None where there is nothing, and the version that was read."""
        found = await self._storage.get(self._key(id), version)
        if found.value is None:
            return None, found.version
        try:
            return stored_from_json(found.value), found.version
        except ValueError as error:
            raise StorageUnavailable(f"the secret of certificate '{id.key}' can't be read: {error}") from error

    async def versions(self, id: CertificateId) -> Sequence[VersionInfo]:
        """The history of its secret, the oldest version first. Raises StorageUnavailable, StorageDenied."""
        return await self._storage.versions(self._key(id))

    async def write(self, stored: StoredCertificate, *, expected: int) -> int:
        """Write a new version and publish its metadata. Raises StaleVersion."""
        id = stored.certificate.id
        version = await self._storage.put(self._key(id), stored_to_json(stored), expected=expected)
        self.publish(stored)
        return version

    async def keep(self, stored: StoredCertificate, *, expected: int, on_failure: Callable[[Exception], None]) -> int:
        """Write what a CA has issued, for as long as it takes: it must neither be lost nor be ordered again.

        `on_failure` is called with each reason why it is not written yet.
        """
        attempt = 0
        while True:
            try:
                return await self.write(stored, expected=expected)
            except StaleVersion:
                # Ours is the newest certificate, whoever wrote meanwhile: a deletion, a change of labels.
                with contextlib.suppress(Unavailable):  # then the next attempt to write says so
                    expected = (await self._storage.get(self._key(stored.certificate.id))).version
            except Unavailable as error:
                on_failure(error)
                pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
                _log.error(
                    "issued certificate not stored yet", key=stored.certificate.id.key, error=str(error), retry_in=pause
                )
                attempt += 1
                await trio.sleep(pause)

    async def delete(self, id: CertificateId) -> None:
        """Mark the newest version as deleted and forget the metadata."""
        await self._storage.delete(self._key(id))
        self._state.withdraw(id.key)
        self._cache.pop(id.key, None)

    def publish(self, stored: StoredCertificate) -> None:
        """Tell every node what storage holds."""
        self._state.publish(stored.certificate)
        published = self._state.certificates.get(stored.certificate.id.key)
        if published is not None:
            self._remember(attrs.evolve(stored, certificate=published))

    def _remember(self, stored: StoredCertificate) -> None:
        key = stored.certificate.id.key
        if stored.private_key:
            self._cache.pop(key, None)
            return
        self._cache[key] = stored
        self._cache.move_to_end(key)
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)

    def _key(self, id: CertificateId) -> str:
        return keys.certificate_key(self._prefix, id)
