"""What every read is answered from: the metadata of all certificates and all tokens, in memory.

Storage is the truth. The shared map is the copy of it that all nodes hold, so that a list or an authentication costs no
request to it and works when it is away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import structlog
import trio

from acme_manager.domain.certificate import Certificate, certificate_from_json, certificate_to_json
from acme_manager.domain.operation import (
    UNTOUCHED,
    Operation,
    Standing,
    operation_from_json,
    operation_to_json,
    standing,
)
from acme_manager.domain.renewal_state import (
    NOTHING_KNOWN,
    RenewalState,
    renewal_state_from_json,
    renewal_state_to_json,
)
from acme_manager.domain.token import Token, token_from_json, token_to_json
from acme_manager.errors import OutcomeUnknown, StorageUnavailable, Unavailable
from acme_manager.ports import Cluster, SharedMap

T = TypeVar("T")
_log = structlog.get_logger(__name__)

_CERTIFICATE, _TOKEN = "certificate/", "token/"  # the Go original's names of these keys
_RENEWAL = "renewal/"  # followed by the certificate's key
_OPERATION = "operation/"  # followed by the operation's id
_COMPLETE = "complete"  # there once a leader has read everything from storage; its value is the stamp of that moment


class Table(Generic[T]):
    """Records by key, iterated in the order of their keys."""

    def __init__(self) -> None:
        self._records: dict[str, T] = {}
        self._sorted: list[str] | None = []
        self._listeners: list[Callable[[str], None]] = []

    @contextmanager
    def watched_by(self, listener: Callable[[str], None]) -> Iterator[None]:
        """For the length of a block, call `listener` with the key of every change. It must neither block nor raise."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def get(self, key: str) -> T | None:
        """The record under that key, if there is one."""
        return self._records.get(key)

    def put(self, key: str, record: T) -> None:
        """Add or replace a record."""
        if key not in self._records:
            self._sorted = None
        self._records[key] = record
        self._tell(key)

    def remove(self, key: str) -> None:
        """Forget a record; one that is not there is no error."""
        if self._records.pop(key, None) is not None:
            self._sorted = None
            self._tell(key)

    def items(self) -> Iterator[tuple[str, T]]:
        """Every key with its record."""
        if self._sorted is None:
            self._sorted = sorted(self._records)
        return ((key, self._records[key]) for key in self._sorted)

    def __len__(self) -> int:
        return len(self._records)

    def _tell(self, key: str) -> None:
        for listener in self._listeners:
            listener(key)


class State:
    """This node's copy, decoded: the tables follow the shared map, and only the leader writes to that.

    Until `loaded` is set the tables are incomplete, and nothing may be concluded from a gap.
    """

    def __init__(self, shared: SharedMap) -> None:
        self._shared = shared
        self.certificates: Table[Certificate] = Table()
        self.tokens: Table[Token] = Table()
        self.renewals: Table[RenewalState] = Table()  # by the certificate's key
        self.operations: Table[Operation] = Table()  # by id
        self._open: tuple[Operation, ...] | None = ()
        self.loaded = trio.Event()

        self._complete = trio.Event()

    @contextmanager
    def following(self) -> Iterator[None]:
        """Keep the tables up to date for the length of a block."""
        with (
            self._shared.watch(_CERTIFICATE, self._certificate_changed),
            self._shared.watch(_TOKEN, self._token_changed),
            self._shared.watch(_RENEWAL, self._renewal_changed),
            self._shared.watch(_OPERATION, self._operation_changed),
            self._shared.watch(_COMPLETE, lambda _key, value: self._complete.set() if value else None),
        ):
            yield

    def publish(self, certificate: Certificate) -> None:
        """Tell every node about a certificate that is in storage. Raises OutcomeUnknown."""
        with _too_late():
            self._shared.put(_CERTIFICATE + certificate.id.key, _encode(certificate_to_json(certificate)))

    def withdraw(self, key: str) -> None:
        """Tell every node that a certificate is gone from storage. Raises OutcomeUnknown."""
        with _too_late():
            self._shared.remove(_CERTIFICATE + key)
            self.publish_renewal(key, NOTHING_KNOWN)

    def renewal(self, certificate: Certificate) -> RenewalState:
        """What is known of the renewal of this very certificate, not of the one before it."""
        return (self.renewals.get(certificate.id.key) or NOTHING_KNOWN).of(certificate.fingerprint)

    def publish_renewal(self, key: str, state: RenewalState) -> None:
        """Tell every node what is known of a renewal, where that is something new. Raises OutcomeUnknown."""
        with _too_late():
            if state == RenewalState(leaf=state.leaf):
                if self.renewals.get(key) is not None:
                    self._shared.remove(_RENEWAL + key)
            elif state != self.renewals.get(key):
                self._shared.put(_RENEWAL + key, _encode(renewal_state_to_json(state)))

    @property
    def open_operations(self) -> tuple[Operation, ...]:
        """Those that are not over."""
        if self._open is None:
            self._open = tuple(one for _, one in self.operations.items() if not one.state.over)
        return self._open

    def standing(self, certificate: Certificate) -> Standing:
        """What operations want of this very certificate."""
        if not (operations := self.open_operations):
            return UNTOUCHED
        return standing(operations, certificate, self.renewal(certificate))

    def publish_operation(self, operation: Operation) -> None:
        """Tell every node about an operation that is in storage. Raises OutcomeUnknown."""
        with _too_late():
            self._shared.put(_OPERATION + operation.id, _encode(operation_to_json(operation)))

    def withdraw_operation(self, id: str) -> None:
        """Tell every node that an operation is gone from storage. Raises OutcomeUnknown."""
        with _too_late():
            self._shared.remove(_OPERATION + id)

    def publish_token(self, token: Token) -> None:
        """Tell every node about a token that is in storage. Raises OutcomeUnknown."""
        with _too_late():
            self._shared.put(_TOKEN + token.id, _encode(token_to_json(token)))

    def withdraw_token(self, token_id: str) -> None:
        """Tell every node that a token is gone from storage. Raises OutcomeUnknown."""
        with _too_late():
            self._shared.remove(_TOKEN + token_id)

    def announce_complete(self, stamp: str) -> None:
        """Tell every node that the map up to `stamp` holds all there is in storage. Raises NotLeader, NoQuorum."""
        self._shared.put(_COMPLETE, stamp.encode())
        self.loaded.set()

    async def catch_up(self, cluster: Cluster) -> None:
        """Wait until this copy has everything that some leader has found in storage, and mark it as loaded."""
        await self._complete.wait()
        await cluster.wait_for((self._shared.get(_COMPLETE) or b"").decode())
        self.loaded.set()

    def require_loaded(self) -> None:
        """Raise StorageUnavailable while the tables are incomplete."""
        if not self.loaded.is_set():
            raise StorageUnavailable("this node has not read the certificates and tokens from storage yet", 2.0)

    async def health(self) -> str | None:
        """None once everything has been read (see Health)."""
        return None if self.loaded.is_set() else "certificates and tokens have not been read from storage yet"

    def _certificate_changed(self, key: str, value: bytes | None) -> None:
        _apply(self.certificates, key.removeprefix(_CERTIFICATE), value, lambda _, it: certificate_from_json(it))

    def _renewal_changed(self, key: str, value: bytes | None) -> None:
        _apply(self.renewals, key.removeprefix(_RENEWAL), value, lambda _, it: renewal_state_from_json(it))

    def _operation_changed(self, key: str, value: bytes | None) -> None:
        self._open = None  # those who are told of the change see the new ones
        _apply(self.operations, key.removeprefix(_OPERATION), value, lambda _, it: operation_from_json(it))

    def _token_changed(self, key: str, value: bytes | None) -> None:
        _apply(self.tokens, key.removeprefix(_TOKEN), value, token_from_json)


@contextmanager
def _too_late() -> Iterator[None]:
    """Who can't tell the others has written to storage all the same, so it must not promise that nothing was done."""
    try:
        yield
    except Unavailable as error:
        raise OutcomeUnknown(f"this node stopped leading before it was done: {error}", error.retry_after) from error


def _apply(table: Table[T], key: str, value: bytes | None, decode: Callable[[str, dict[str, Any]], T]) -> None:
    if value is None:
        table.remove(key)
        return
    try:
        record = json.loads(value)
        if not isinstance(record, dict):
            raise ValueError("no JSON object")
        table.put(key, decode(key, record))
    except ValueError as error:  # a node of another version wrote it; the rest of the map is not to suffer
        _log.warning("entry of the shared map can't be read, left out", key=key, error=str(error))


def _encode(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
