"""Certificates with their keys in Vault, for hosts that lose theirs and for those in pull mode (`certificate_backup`).

A backup has a place of its own below its owner, since the server writes its secrets as a whole: a key merged into one
would be gone with the next renewal. Where the Go original has left a backup, that is kept up to date too, and read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from acme_manager.client.keys import asked_with, made_for
from acme_manager.domain.certificate import Certificate, StoredCertificate
from acme_manager.domain.keys import describe
from acme_manager.errors import AcmeManagerError, StaleVersion
from acme_manager.ports import Storage
from acme_manager.storage import keys

_ATTEMPTS = 3  # when several hosts write the same backup at once
_OLDEST = 10  # versions that are looked through for a key; KV v2 keeps as many by default
_OF_THE_SERVER = {field.name for field in attrs.fields(Certificate)} | {"url", "private_key"}


class BackupRefused(AcmeManagerError):
    """A backup would be of no use, or take the place of a better one."""


@attrs.frozen(kw_only=True)
class Backup:
    """Keeps and finds keys. `prefix` is the one of certificates. Both methods may raise StorageUnavailable and
    StorageDenied: then nothing is known about what is there."""

    storage: Storage
    prefix: str

    async def save(self, stored: StoredCertificate, key: str) -> None:
        """Keep a certificate and its key (PEM); an empty key stands for the one that is kept already.

        Raises BackupRefused, and StaleVersion when others write all the time.
        """
        certificate = stored.certificate
        key = key or await self.load(certificate) or ""
        if not made_for(key, stored.cert):
            raise BackupRefused("the key is not the certificate's" if key else "there is no key to keep")
        ours = keys.backup_key(self.prefix, certificate.id)
        await self._write(ours, {"certificate": stored.cert, "chain": stored.ca_issuer, "key": key})
        gos = _gos_place(self.prefix, certificate)
        await self._write(gos, {"cert": stored.cert, "ca_issuer": stored.ca_issuer, "key": key}, only_over=_is_gos)

    async def load(self, certificate: Certificate) -> str | None:
        """The newest key that the certificate was asked for with; if none is of that request, the newest of all."""
        newest: str | None = None
        for place in (keys.backup_key(self.prefix, certificate.id), _gos_place(self.prefix, certificate)):
            there = await self.storage.get(place)
            # Former versions count as well: the server may have written its secret over a backup of the Go original.
            # They are read by their numbers: a policy that fits the Go original need not let us see the history.
            for version in range(there.version, max(there.version - _OLDEST, 0), -1):
                if version != there.version:
                    there = await self.storage.get(place, version)
                key = (there.value or {}).get("key")
                if not isinstance(key, str) or not key:
                    continue
                if asked_with(key, certificate.csr):
                    return key
                newest = newest or key
        return newest

    async def _write(
        self, place: str, new: Mapping[str, str], only_over: Callable[[Mapping[str, Any]], bool] = lambda _: True
    ) -> None:
        """Merge into what is there, unless that is newer."""
        for left in reversed(range(_ATTEMPTS)):
            there = await self.storage.get(place)
            old = there.value or {}
            if not only_over(old) or {**old, **new} == old or _begins(old) > _begins(new):
                return
            try:
                await self.storage.put(place, {**old, **new}, expected=there.version)
            except StaleVersion:
                if not left:
                    raise
            else:
                return


def _gos_place(prefix: str, certificate: Certificate) -> str:
    """Where the Go original keeps a backup; of an unnamed one, where a server with this prefix keeps its own secret."""
    id = certificate.id
    return keys.old_named_key(prefix, id) if id.name else keys.certificate_key(prefix, id)


def _is_gos(there: Mapping[str, Any]) -> bool:
    """Whether a secret is a backup of the Go original, and not the server's."""
    return "key" in there and not set(there) & _OF_THE_SERVER


def _begins(backup: Mapping[str, Any]) -> float:
    """From when the certificate in a backup is good; 0 where there is none."""
    try:
        return describe(str(backup.get("certificate") or backup.get("cert"))).not_before.timestamp()
    except ValueError:
        return 0.0
