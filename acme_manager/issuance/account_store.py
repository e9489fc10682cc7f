"""Where an account is kept: in storage, for all nodes, and copied to the Go original's files if there is a folder."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from acme_manager.errors import StaleVersion, StorageUnavailable
from acme_manager.issuance.account_files import AccountFiles
from acme_manager.issuance.account_record import (
    AccountRecord,
    new_key,
    record_from_json,
    record_to_json,
    which_counts,
)
from acme_manager.ports import Storage

_log = structlog.get_logger(__name__)

_TRIES = 10  # each that fails means that another node's change went through


class AccountStore:
    """The record of our account at one CA; `key` is its path in storage.

    Everything raises StorageUnavailable, StorageDenied, and ValueError or OSError for an account that can't be read.
    """

    def __init__(self, storage: Storage, key: str, files: AccountFiles | None = None) -> None:
        self._storage, self._key, self._files = storage, key, files

    async def load(self) -> AccountRecord:
        """The account: storage's, else the folder's, else a new one without a registration.

        Whoever puts one into storage first has made it for all nodes.
        """
        local, trouble = None, None
        try:
            local = self._files.load() if self._files else None
        except (OSError, ValueError) as error:
            trouble = error

        def chosen(stored: AccountRecord | None) -> AccountRecord:
            if stored is None and trouble is not None:
                raise trouble  # the account that the operator meant, and not a new one
            return which_counts(stored, local) or AccountRecord(key=new_key())

        record = await self.change(chosen)
        if record is local:
            _log.info("account of the folder put into storage", key=self._key)
        return record

    async def stored(self) -> AccountRecord | None:
        """What storage has."""
        record, _ = await self._read()
        if record is not None:
            self._copy(record)
        return record

    async def change(self, to: Callable[[AccountRecord | None], AccountRecord]) -> AccountRecord:
        """Put what `to` makes of what storage has there, anew whenever somebody else was faster; returns the result."""
        for _ in range(_TRIES):
            before, version = await self._read()
            record = to(before)
            try:
                if record != before:
                    await self._storage.put(self._key, record_to_json(record), expected=version)
            except StaleVersion:
                continue
            self._copy(record)
            return record
        raise StorageUnavailable(f"'{self._key}' is changed by others all the time")

    async def find(self) -> AccountRecord | None:
        """What storage has, else what the folder has; nothing is changed."""
        record, _ = await self._read()
        return record or (self._files.load() if self._files else None)

    async def forget(self) -> None:
        """Remove the account from storage, in all its versions, and from the folder."""
        await self._storage.purge(self._key)
        if self._files:
            self._files.forget()

    async def _read(self) -> tuple[AccountRecord | None, int]:
        found = await self._storage.get(self._key)
        try:
            return (record_from_json(found.value) if found.value else None), found.version
        except ValueError as error:
            raise ValueError(f"'{self._key}' in storage is no account: {error}") from error

    def _copy(self, record: AccountRecord) -> None:
        if self._files is None:
            return
        try:
            self._files.save(record)
        except (OSError, ValueError) as error:
            _log.warning("account not copied to its folder", folder=str(self._files.folder), error=str(error))
