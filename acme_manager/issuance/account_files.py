"""An account on disk: `<rootpath_account>/<issuer>/private_key.pem` and `account.json`, as the Go original has them.

Several processes may share the directory, so nothing in it is ever seen half-written, and no key is overwritten.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from acme_manager.domain.keys import KeyType, key_to_pem, make_key
from acme_manager.issuance.jws import AccountKey

_log = structlog.get_logger(__name__)

_KEPT = ("status", "contact", "termsOfServiceAgreed", "orders")


@attrs.frozen
class Registration:
    """What `account.json` says: the contact that we registered, and the account's URL."""

    email: str
    url: str


class AccountFiles:
    """Reads and writes them. Every method may raise OSError; those that read a key, ValueError too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key, self._next_key = folder / "private_key.pem", folder / "private_key.pem.new"
        self._registration = folder / "account.json"

    def load_key(self) -> AccountKey | None:
        """The account's key (PKCS#1, PKCS#8 or SEC1), or None when there is none yet."""
        return _read_key(self._key)

    def make_key(self) -> AccountKey:
        """Make an EC P-256 key unless another process was faster; either way return the one that counts."""
        return self._make(self._key)

    def load_next_key(self) -> AccountKey | None:
        """The key of a roll-over that has not come to its end, or None."""
        return _read_key(self._next_key)

    def make_next_key(self) -> AccountKey:
        """The key to roll over to, made beside the one in use."""
        return self._make(self._next_key)

    def adopt_next_key(self) -> None:
        """Let the next key take the place of the one in use; it is no error when another process has done so."""
        try:
            self._next_key.replace(self._key)
        except FileNotFoundError:
            _log.info("account key already switched by another process", folder=str(self.folder))

    def load_registration(self) -> Registration | None:
        """What was registered, or None; a file that can't be read counts as none, since the CA knows better."""
        try:
            document = json.loads(self._registration.read_text(encoding="utf-8"))
            email, url = document.get("email") or "", document["registration"]["uri"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("account.json not readable, asking the CA", folder=str(self.folder), error=repr(error))
            return None
        return Registration(email, url) if isinstance(email, str) and isinstance(url, str) and url else None

    def save_registration(self, registration: Registration, body: Mapping[str, Any]) -> None:
        """Write `account.json`; `body` is the account as the CA describes it."""
        kept = {name: body[name] for name in _KEPT if body.get(name)}
        document = {"email": registration.email, "registration": {"body": kept, "uri": registration.url}}
        text = json.dumps(document, indent="\t", ensure_ascii=False)
        temporary = self._write_temporary(text)
        temporary.replace(self._registration)

    def forget(self) -> None:
        """Delete everything."""
        for file in (self._registration, self._key, self._next_key):
            file.unlink(missing_ok=True)

    def _make(self, target: Path) -> AccountKey:
        temporary = self._write_temporary(key_to_pem(make_key(KeyType.EC256)))
        try:
            target.hardlink_to(temporary)  # unlike a rename, this fails where there is a file already
        except FileExistsError:
            pass
        finally:
            temporary.unlink(missing_ok=True)
        found = _read_key(target)
        if found is None:
            raise OSError(f"{target} has vanished")
        return found

    def _write_temporary(self, text: str) -> Path:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.folder / f".{secrets.token_hex(8)}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return temporary


def _read_key(path: Path) -> AccountKey | None:
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return AccountKey.of(serialization.load_pem_private_key(pem, password=None))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{path} is no private key that can be used: {error}") from error
