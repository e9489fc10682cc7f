"""What is kept of our account at one CA, and its form in storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from acme_manager.domain.keys import KeyType, key_to_pem, make_key
from acme_manager.issuance.jws import AccountKey

_OWNER = ".acme-manager"  # the Go original's cleanup worker reads every secret as a certificate, and wants an owner
_KEPT = ("status", "contact", "termsOfServiceAgreed", "orders")


def new_key() -> str:
    """A new account key (EC P-256) as PEM."""
    return key_to_pem(make_key(KeyType.EC256))


@attrs.frozen
class Registration:
    """What the CA has registered: the contact that we gave, the account's URL, and the account as the CA describes it.

    Compared with what we gave, not with what the CA echoes: many echo no contacts.
    """

    email: str
    url: str
    body: Mapping[str, Any] = attrs.field(factory=dict, eq=False, repr=False)

    @classmethod
    def from_document(cls, document: Any) -> Registration | None:
        """Read the Go original's `account.json`; None for what makes no sense, since the CA knows better."""
        try:
            email, url, body = (
                document.get("email") or "",
                document["registration"]["uri"],
                document["registration"].get("body") or {},
            )
        except (KeyError, TypeError, AttributeError):
            return None
        sound = isinstance(email, str) and isinstance(url, str) and url and isinstance(body, Mapping)
        return cls(email, url, body) if sound else None

    def to_document(self) -> dict[str, Any]:
        """The Go original's `account.json`."""
        kept = {name: self.body[name] for name in _KEPT if self.body.get(name)}
        return {"email": self.email, "registration": {"body": kept, "uri": self.url}}


@attrs.frozen(kw_only=True)
class AccountRecord:
    """An account: its key as PEM, as it came (PKCS#1, PKCS#8 or SEC1), and what was registered with it, if anything.

    `next_key` is the one that a roll-over is going to put in the key's place, or has put there at the CA already.
    """

    key: str = attrs.field(repr=False)
    next_key: str = attrs.field(default="", repr=False)
    registration: Registration | None = None

    def holds(self, key: AccountKey) -> bool:
        """Whether that is its key. Raises ValueError."""
        return AccountKey.of_pem(self.key) == key

    def same_account(self, other: AccountRecord) -> bool:
        """Whether both are about one account, be it with its keys of before and after a roll-over."""
        ours, theirs = self.registration, other.registration
        return (ours is not None and theirs is not None and ours.url == theirs.url) or self.key == other.key

    def adopted(self, next_key: str) -> AccountRecord:
        """With that key in the place of the one in use; unchanged where it isn't the next one any more."""
        return attrs.evolve(self, key=next_key, next_key="") if next_key == self.next_key else self


def record_from_json(value: Mapping[str, Any]) -> AccountRecord:
    """Read a secret. Raises ValueError."""
    key, next_key = value.get("private_key"), value.get("next_private_key") or ""
    if not isinstance(key, str) or not isinstance(next_key, str):
        raise ValueError("it has no 'private_key'")
    for pem in filter(None, (key, next_key)):
        AccountKey.of_pem(pem)
    return AccountRecord(key=key, next_key=next_key, registration=Registration.from_document(value.get("account")))


def record_to_json(record: AccountRecord) -> dict[str, Any]:
    """The secret."""
    value: dict[str, Any] = {"owner": _OWNER, "private_key": record.key}
    if record.next_key:
        value["next_private_key"] = record.next_key
    if record.registration is not None:
        value["account"] = record.registration.to_document()
    return value


def which_counts(stored: AccountRecord | None, local: AccountRecord | None) -> AccountRecord | None:
    """Of an account in storage and one in this node's folder: the one to use.

    Storage's, so that all nodes use the same; but not when nothing has come of it and the folder's is registered: a CA
    with external account binding may accept no second registration.
    """
    if stored is None or local is None:
        return stored or local
    return local if stored.registration is None and local.registration is not None else stored
