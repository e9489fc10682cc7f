"""How Vault and the network say no, and what we make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from acme_manager.errors import StorageDenied, StorageUnavailable

POLICY = "config/vault-policy.hcl"
_LONGEST_WAIT = 30.0


@attrs.frozen
class Need:
    """What a request needs, in the words of a policy: capabilities on a path."""

    capability: str
    path: str

    def __str__(self) -> str:
        return f"{self.capability} on {self.path}"


class Unreachable(Exception):
    """No answer came: refused, reset, timed out, or TLS failed. The request may have been carried out all the same."""


class Refusal(Exception):
    """An answer with a status of 400 or more.

    `body` is the answer's JSON, `retry_after` seconds if it named any. `doubtful` says that an earlier attempt at the
    same request got no clear answer, so that this refusal may be the echo of our own success.
    """

    def __init__(
        self, status: int, errors: Sequence[str], body: Mapping[str, Any], retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status}: {'; '.join(errors) or 'no reason given'}")
        self.status, self.errors, self.body, self.retry_after = status, tuple(errors), body, retry_after
        self.doubtful = False

    @property
    def nothing_there(self) -> bool:
        """404 for a secret. With a reason it is about the path: no engine is mounted there."""
        return self.status == 404 and not self.errors

    @property
    def stale(self) -> bool:
        """The newest version is not the one that check-and-set demanded."""
        return self.status == 400 and any("check-and-set" in reason and "match" in reason for reason in self.errors)

    @property
    def sealed(self) -> bool:
        """Vault runs but can't open its own store."""
        return self.status == 503 and any("sealed" in reason for reason in self.errors)


def may_pass(error: Unreachable | Refusal) -> bool:
    """Whether the same request may succeed a little later.

    412 is a replica that lags behind, 429 a quota, 5xx a sealed, starting or overloaded Vault; 501 never passes by
    itself (not initialized).
    """
    if isinstance(error, Unreachable):
        return True
    return error.status in {412, 429} or (error.status >= 500 and error.status != 501)


def wait_after(error: Unreachable | Refusal, planned: float) -> float:
    """How many seconds to wait before the next attempt: what Vault asks for, within reason, else what was planned."""
    asked = error.retry_after if isinstance(error, Refusal) else None
    return planned if asked is None else min(max(asked, 0.0), _LONGEST_WAIT)


def in_our_words(error: Unreachable | Refusal, need: Need) -> StorageUnavailable | StorageDenied:
    """The error of our own for a request that failed for good."""
    if isinstance(error, Unreachable):
        return StorageUnavailable(f"Vault does not answer: {error}")
    if error.sealed:
        return StorageUnavailable("Vault is sealed; unseal it")
    if error.status in {401, 403}:
        return StorageDenied(
            f"Vault denies {need}. Add it to the policy of the AppRole; {POLICY} has all that is needed"
        )
    if error.status == 404:
        engine = need.path.split("/", 1)[0]
        return StorageUnavailable(
            f"Vault has nothing at {need.path}: {'; '.join(error.errors)}. "
            f"Is a KV version 2 engine mounted at storage.vault.secret_engine ('{engine}')?"
        )
    return StorageUnavailable(f"Vault refused {need}: {error}", retry_after=wait_after(error, 5.0))


def login_in_our_words(error: Unreachable | Refusal, path: str) -> StorageUnavailable | StorageDenied:
    """The error of our own for a login that failed."""
    if isinstance(error, Unreachable) or may_pass(error):
        return in_our_words(error, Need("update", path))
    return StorageDenied(
        f"Vault refuses the AppRole login at {path}: {error}. "
        "Check role_id, secret_id and mount_path of storage.vault, and whether the secret id has expired"
    )
