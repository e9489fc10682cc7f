"""What we need from the world, as contracts.

Each port has an adapter for the real part and one in memory that ships with the product, and one suite in
tests/contracts that runs on every adapter. Adapters turn foreign exceptions into those of errors.py at their edge.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

import attrs

from acme_manager.domain.names import Identifier
from acme_manager.errors import Unavailable


class Clock(Protocol):
    """Wall-clock time. Monotonic time is no port: it is `trio.current_time()`, which tests control already."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""
        ...


# --- storage -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Versioned:
    """The newest version of a secret. A key never written has version 0; `value` is None where there is nothing to
    read, be it never written, deleted or destroyed. `version` is what the next `put` must expect."""

    value: Mapping[str, Any] | None = attrs.field(repr=False)
    version: int


@attrs.frozen
class VersionInfo:
    """One version in a secret's history."""

    version: int
    created: datetime
    deleted: bool
    destroyed: bool


class Storage(Protocol):
    """A key-value store with versions and check-and-set: Vault's KV v2.

    Keys are paths without a leading slash. All methods may raise StorageUnavailable (away, sealed, too slow) or
    StorageDenied (a capability is missing). A cancelled write may or may not have happened: write what can be repeated.
    """

    async def get(self, key: str, version: int | None = None) -> Versioned:
        """Read the newest version, or the given one; `version` of the answer is that of what was read."""
        ...

    async def put(self, key: str, value: Mapping[str, Any], *, expected: int) -> int:
        """Write a new version and return its number. Raises StaleVersion unless `expected` is the newest."""
        ...

    async def delete(self, key: str) -> None:
        """Mark the newest version as deleted (it can be undeleted). A key that is not there is no error."""
        ...

    async def list(self, prefix: str, *, skip: str = "") -> Sequence[str]:
        """Every key below a prefix at any depth, whole keys, sorted; deleted ones included, purged ones not.

        What lies below the folder `skip` is not even looked at.
        """
        ...

    async def versions(self, key: str) -> Sequence[VersionInfo]:
        """The history of a key, oldest first; empty when it was never written or was purged."""
        ...

    async def destroy(self, key: str, versions: Sequence[int]) -> None:
        """Remove the values of these versions for good; what is not there is no error."""
        ...

    async def purge(self, key: str) -> None:
        """Destroy every version and forget the key. A key that is not there is no error."""
        ...


# --- issuance ----------------------------------------------------------------------------------------------------


@attrs.frozen
class Challenge:
    """What a CA wants to see: RFC 8555 section 8. `identifier` is without a wildcard."""

    identifier: Identifier
    type: str  # "dns-01", "http-01" and others
    token: str
    key_authorization: str = attrs.field(repr=False)
    account: str = ""  # URL of our account
    wildcard: bool = False  # whether it is to prove the names one label below, too
    issuers: tuple[str, ...] = ()  # what the CA calls itself in DNS; dns-persist-01 only


Trace = Mapping[str, str]
"""What a presented challenge leaves in the world, as text that can be stored: enough to remove it after a crash."""


class Solver(Protocol):
    """Makes challenges of one type visible, and takes them away again."""

    @property
    def type(self) -> str:
        """The challenge type it solves: `dns-01`, `http-01`."""
        ...

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        """Find out what `presented` is going to leave behind, without doing it yet. Raises ChallengeFailed."""
        ...

    def presented(self, traces: Sequence[Trace]) -> AbstractAsyncContextManager[None]:
        """Make all of them visible on entry and wait until the CA can see them; remove all on exit, whatever happened.

        Raises ChallengeFailed on entry. A removal that fails is logged and counted, not raised.
        """
        ...

    async def remove(self, traces: Sequence[Trace]) -> None:
        """Remove what an earlier process may have left. What is not there is no error. Raises ChallengeFailed."""
        ...


class Step(enum.StrEnum):
    """The steps of an issuance that people watch, and its opposite."""

    ORDERED = "ordered"
    PRESENTED = "challenge presented"
    VALIDATED = "validated"
    FINALIZED = "finalized"
    ISSUED = "issued"
    STORED = "stored"
    REVOKED = "revoked"


@attrs.frozen(kw_only=True)
class OrderRequest:
    """What to ask a CA for. `csr` is DER; `days` 0 and empty texts leave the choice to the CA.

    `replaces` is the PEM leaf that the new certificate takes the place of (RFC 9773 section 5); a CA that doesn't know
    of such a thing, or says that it has been replaced already, gets an order without it.
    """

    identifiers: tuple[Identifier, ...]
    csr: bytes = attrs.field(repr=False)
    days: int = 0
    profile: str = ""
    replaces: str = attrs.field(default="", repr=False)


@attrs.frozen
class PlacedOrder:
    """What must be remembered of an order to resume it, or to clean up after it."""

    url: str
    traces: tuple[Trace, ...] = ()


@attrs.frozen
class Issued:
    """What a CA gave us: the chain as PEM, leaf first, and the URL it can be fetched from again."""

    chain: str = attrs.field(repr=False)
    url: str


@attrs.frozen(kw_only=True)
class RenewalInfo:
    """When a CA wants a certificate to be renewed (RFC 9773 section 4.2). Times are aware, `start` is before `end`."""

    start: datetime
    end: datetime
    explanation: str = ""  # URL of a page for people; empty where the CA gives none
    ask_again: float  # seconds, clamped to sensible bounds


@attrs.frozen(kw_only=True)
class IssuerFacts:
    """What a CA says about itself in its directory (RFC 8555 section 7.1.1), and who we are there."""

    caa_identities: tuple[str, ...] = ()
    profiles: Mapping[str, str] = attrs.field(factory=dict)  # name to description; empty: it has none
    renewal_info: bool = False  # whether it answers RFC 9773
    account: str = ""  # URL of our account


class Issuer(Protocol):
    """One CA with one account, which storage keeps for all nodes. Time limits belong to the caller.

    Raises IssuanceFailed (with the CA's problem), IssuerRateLimited, IssuerUnavailable and ChallengeFailed;
    StorageUnavailable and StorageDenied where the account is needed and can't be read or written. Nothing else. Once
    the account is known, storage is needed only if the CA refuses it.
    """

    async def issue(
        self,
        request: OrderRequest,
        solver: Solver,
        *,
        placed: Callable[[PlacedOrder], Awaitable[None]],
        step: Callable[[Step], None],
        resume: PlacedOrder | None = None,
    ) -> Issued:
        """Place an order, or take up one that an earlier process placed, and see it through.

        `placed` is awaited once the order's URL and traces are known and before anything of it becomes visible: what
        it stores is enough for another process to go on. An order to resume that the CA no longer knows, or gave up,
        is cleaned up after and replaced by a new one.
        """
        ...

    async def check(self) -> None:
        """Ask whether the CA answers and our account there is in order; makes the account where there is none yet.

        Raises DirectoryUnavailable when the CA could not even be asked about the account.
        """
        ...

    async def read_account(self) -> None:
        """See that the account that is kept, if there is one, can be read. The CA is not asked."""
        ...

    async def revoke(self, certificate: str, reason: int | None = None, *, private_key: str = "") -> None:
        """Revoke a PEM leaf; one that is revoked or expired already counts as done.

        Signed with the account's key, or with the certificate's own where `private_key` (PEM) is given (RFC 8555
        section 7.6). `reason` is a code of RFC 5280 section 5.3.1.
        """
        ...

    async def renewal_info(self, certificate: str) -> RenewalInfo | None:
        """Ask when a PEM leaf is to be renewed; None where the CA does not answer such questions, or not for it."""
        ...

    async def facts(self) -> IssuerFacts:
        """What the CA says about itself; makes the account where there is none yet."""
        ...


class DnsProvider(Protocol):
    """Writes TXT records. Both methods are idempotent and leave other values of the same name alone.

    `name` is absolute without the final dot. Raises DnsFailed.
    """

    async def put_txt(self, name: str, value: str) -> None:
        """Add a value."""
        ...

    async def remove_txt(self, name: str, value: str) -> None:
        """Remove a value; one that is not there is no error."""
        ...


# --- the cluster -------------------------------------------------------------------------------------------------


class SharedMap(Protocol):
    """The state that every node holds a copy of. Reads are local; only the leader writes."""

    def get(self, key: str) -> bytes | None:
        """The value under a key, in this node's copy."""
        ...

    def items(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        """Every entry whose key begins with `prefix`, in no order."""
        ...

    def put(self, key: str, value: bytes) -> None:
        """Write an entry and tell the others. Raises NotLeader or NoQuorum."""
        ...

    def remove(self, key: str) -> None:
        """Remove an entry everywhere, for good. Raises NotLeader or NoQuorum."""
        ...

    def watch(self, prefix: str, changed: Callable[[str, bytes | None], None]) -> AbstractContextManager[None]:
        """For the length of a block, call `changed(key, value or None)` for every change below a prefix.

        It is called at once for entries that are there already, and for the node's own writes before `put` returns.
        """
        ...


class Cluster(Protocol):
    """Which nodes there are, and who leads."""

    @property
    def name(self) -> str:
        """This node's name."""
        ...

    def leads(self) -> bool:
        """Whether this node leads at this instant, by its own clock."""
        ...

    async def confirm(self) -> None:
        """Make sure at storage that nobody has taken over. Raises NotLeader, NoQuorum, StorageUnavailable."""
        ...

    def leader(self) -> str | None:
        """The leader's name, None while there is none that a majority stands behind."""
        ...

    def leader_url(self) -> str | None:
        """Where the leader's API listens, None while there is no leader or it has not said."""
        ...

    def why_not(self) -> Unavailable:
        """Why no one can be asked to write just now: NoQuorum, NotLeader, RingNotReady."""
        ...

    def stamp(self) -> str:
        """The newest write in this node's copy, as text for a header."""
        ...

    async def wait_for(self, stamp: str) -> None:
        """Return once this node's copy has everything up to a stamp. Waits for ever: bound it."""
        ...

    def members(self) -> Sequence[Mapping[str, Any]]:
        """What `/ring` shows of each member: name, address, state, url, version, heartbeat, tokens, health, voter.

        `heartbeat` is an aware datetime, `tokens` a list of numbers; what is not known is left out.
        """
        ...

    def statistics(self) -> Mapping[str, Any]:
        """Numbers about this node's part in the cluster, by name: size of the map, length of queues, counters."""
        ...

    def put_fact(self, name: str, value: bytes) -> None:
        """Say something about this node, which every node finds in the shared map as `member/<its name>/<name>`.

        Any node may at any time, whoever leads. It is taken back when the node leaves.
        """
        ...

    def forget(self, name: str) -> None:
        """Give a dead member up: it is no voter any more. Raises NotFound, and Conflict for one that is alive."""
        ...
