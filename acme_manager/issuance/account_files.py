"""An account on disk: `<rootpath_account>/<issuer>/private_key.pem` and `account.json`, as the Go original has them.

What counts is in storage (account_store.py). The files bring an account along, and let one go back. Several processes
may share the directory, so no file in it is ever seen half-written.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import structlog

from acme_manager.issuance.account_record import AccountRecord, Registration
from acme_manager.issuance.jws import AccountKey

_log = structlog.get_logger(__name__)


class AccountFiles:
    """Reads and writes them. Every method may raise OSError; `load` and `save`, ValueError too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key, self._registration = folder / "private_key.pem", folder / "account.json"

    def load(self) -> AccountRecord | None:
        """The account, or None where there is no key. Raises ValueError for a key that can't be used."""
        try:
            pem = self._key.read_text(encoding="utf-8")
            AccountKey.of_pem(pem)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(f"{self._key} is no private key that can be used: {error}") from error
        return AccountRecord(key=pem, registration=self._load_registration())

    def save(self, record: AccountRecord) -> None:
        """Make the files a copy of what storage has. Those of another account are renamed, not overwritten."""
        there = self.load()
        if there is not None and (there.key, there.registration) == (record.key, record.registration):
            return
        if there is not None and not there.same_account(record):
            self._set_aside(there)
        self._write(self._key, record.key)
        if record.registration is not None:
            text = json.dumps(record.registration.to_document(), indent="\t", ensure_ascii=False)
            self._write(self._registration, text)

    def forget(self) -> None:
        """Delete both."""
        for file in (self._registration, self._key):
            file.unlink(missing_ok=True)

    def _load_registration(self) -> Registration | None:
        try:
            found = Registration.from_document(json.loads(self._registration.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except ValueError:
            found = None
        if found is None:
            _log.warning("account.json not readable, asking the CA", folder=str(self.folder))
        return found

    def _set_aside(self, other: AccountRecord) -> None:
        name = AccountKey.of_pem(other.key).thumbprint[:12]
        for file in (self._key, self._registration):
            if file.exists():
                file.rename(file.with_name(f"{file.stem}.{name}{file.suffix}"))
        _log.warning(
            "account in the folder is not the one in storage, which counts; files renamed",
            folder=str(self.folder),
            renamed=f"*.{name}.*",
        )

    def _write(self, target: Path, text: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.folder / f".{secrets.token_hex(8)}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
